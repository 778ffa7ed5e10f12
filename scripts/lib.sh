# Sourced by the scripts here: go to the checkout's root, and find a Python to begin with.

cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Run the first Python on the PATH that is 3.11 or newer: enough for the set-up,
# which finds or fetches the one that Home Assistant needs.
run_python() {
  local candidate
  for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      "$candidate" "$@"
      return
    fi
  done
  echo "Python 3.11 or newer is needed to begin with, and none is on the PATH." >&2
  return 1
}

# Read a command line before the set-up, by a module that needs no environment: neither help nor a
# wrong argument is then worth minutes.
read_options() {
  run_python -m "$@"
  case " $* " in *" -h "* | *" --help "*) exit ;; esac
}

# Make the named environments, or do nothing where they are up to date.
setup() {
  run_python -m scripts.setup_env "$@"
}
