# Sourced by the other scripts: change to the checkout's root and find a Python for the set-up.
# 3.11 is enough, since the set-up finds or downloads the Python that Home Assistant needs.

cd "$(dirname "${BASH_SOURCE[0]}")/.."
for python in python3 python3.14 python3.13 python3.12 python3.11 ""; do
  "${python:-false}" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break
done
if [[ -z $python ]]; then
  echo "The set-up needs Python 3.11 or newer, and none is on the PATH." >&2
  exit 1
fi

# Set up environments and run a module in the first one: become MODULE ENVIRONMENT... -- ARGUMENT...
become() {
  exec "$python" -m scripts.setup_env.become "$@"
}
