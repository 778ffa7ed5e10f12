# Sourced, after lib.sh, by the scripts that run in the demo's environment.

# Set up, and let a module of ours take this process over: signals reach it then.
become() {
  setup demo
  # Compiled once, a later start takes a third of the time; no trace in the sources.
  unset PYTHONDONTWRITEBYTECODE
  export PYTHONPYCACHEPREFIX="$PWD/.venvs/pycache"
  exec .venvs/demo/bin/python -m "$@"
}
