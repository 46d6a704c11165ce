# Sourced by the scripts that run tests: installs what is missing, and else says nothing.

# need_packages WHAT:PACKAGE...
# WHAT is a command or a file; PACKAGE is installed where it is missing.
need_packages() {
  local missing=() pair what
  for pair in "$@"; do
    what=${pair%%:*}
    case $what in
      /*) [ -e "$what" ] || missing+=("${pair#*:}") ;;
      *) PATH=$PATH:/usr/sbin command -v "$what" >/dev/null || missing+=("${pair#*:}") ;;
    esac
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  local as_root=
  [ "$(id -u)" = 0 ] || as_root=sudo
  echo "installing ${missing[*]}"
  # A freshly installed daemon (nginx) must not be started: the tests start their own.
  local policy=/usr/sbin/policy-rc.d ours=
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' | $as_root tee $policy >/dev/null
    $as_root chmod +x $policy
    ours=yes
  fi
  local status=0
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq </dev/null
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    "${missing[@]}" </dev/null >/dev/null || status=$?
  [ -z "$ours" ] || $as_root rm -f $policy
  return $status
}

# A virtual environment under .build with the Python packages of requirements.txt; sets PYTHON.
need_python() {
  local venv=$root/.build/test-python wanted=$root/Tests/Support/requirements.txt
  need_packages python3:python3
  if ! cmp -s "$wanted" "$venv/installed.txt"; then
    python3 -c 'import ensurepip, venv' 2>/dev/null || need_packages /no-venv:python3-venv
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install -q --disable-pip-version-check -r "$wanted" </dev/null
    cp "$wanted" "$venv/installed.txt"
  fi
  PYTHON=$venv/bin/python
}
