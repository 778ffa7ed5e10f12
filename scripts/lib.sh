# Sourced by the scripts here: go to the checkout's root, and find a Python to begin with. 3.11 is
# enough for the set-up, which finds or gets the one that Home Assistant needs.

cd "$(dirname "${BASH_SOURCE[0]}")/.."
for python in python3 python3.14 python3.13 python3.12 python3.11 ""; do
  "${python:-false}" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break
done
if [[ -z $python ]]; then
  echo "Python 3.11 or newer is needed to begin with, and none is on the PATH." >&2
  exit 1
fi

# Set up environments, and become a module in the first: become MODULE ENVIRONMENT... -- ARGUMENT...
become() {
  exec "$python" -m scripts.setup_env.become "$@"
}
