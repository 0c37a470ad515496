# shellcheck shell=bash
# What the shell scripts share; read with `.`, from the top of the checkout.

# Where this is set nothing caches bytecode, and every start of hass compiles 3000 modules again.
unset PYTHONDONTWRITEBYTECODE

CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/moat-link

say() { printf '[%3d s] %s\n' "$SECONDS" "$*" >&2; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# require COMMAND PACKAGE: install a Debian package that brings a command
require() {
  have "$1" && return
  local root=()
  [ "$(id -u)" = 0 ] || root=(sudo -n)
  have apt-get || fail "$1 is missing, please install it"
  [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null || fail "$1 is missing: sudo apt-get install $2"
  say "installing $2"
  export DEBIAN_FRONTEND=noninteractive
  "${root[@]}" apt-get install -y -qq --no-install-recommends "$2" >/dev/null 2>&1 \
    || { "${root[@]}" apt-get update -qq \
      && "${root[@]}" apt-get install -y -qq --no-install-recommends "$2" >/dev/null; } \
    || fail "apt-get could not install $2"
}

# ensure_uv: have uv in the PATH, from PyPI if need be, and looking where pip looks
ensure_uv() {
  export PATH="$PATH:$CACHE/uv/bin"
  if ! uv --version >/dev/null 2>&1; then
    say "installing uv"
    python3 -m pip --version >/dev/null 2>&1 || require pip3 python3-pip
    PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --target "$CACHE/uv" uv
    PATH="$CACHE/uv/bin:$PATH"
  fi
  if [ -z "${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-}" ] && [ ! -e "$HOME/.config/uv/uv.toml" ] && [ ! -e /etc/uv/uv.toml ]; then
    local index
    index=${PIP_INDEX_URL:-$(python3 -m pip config get global.index-url 2>/dev/null || true)}
    [ -z "$index" ] || export UV_DEFAULT_INDEX=$index
  fi
}
