PATH="$(dirname "${BASH_SOURCE[0]}"):$PATH"
export PATH
