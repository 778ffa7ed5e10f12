# Sourced, after lib.sh, by the scripts that run in the demo's environment.

# Set up, and become a module of ours: a signal to this process then reaches it.
become() {
  local python
  python=$(run_python -c 'import sys; print(sys.executable)')
  exec "$python" -m scripts.demo_lib.begin "$@"
}
