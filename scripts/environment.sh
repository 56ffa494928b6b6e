# Sourced by scripts/run and scripts/test: makes .venv from the locks and keeps it true to them.
#
#   ensure_environment run    what the market maker needs
#   ensure_environment test   that, and what the checks need
#
# Everything installed is checked against a hash. Progress goes to stderr. The stamp is written last, so an
# interrupted install is noticed and made again; a lock lets two first calls at once do the work once.

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
venv="$root/.venv"
# Settings that would send packages elsewhere than the .venv, or lend it somebody else's modules.
unset PIP_USER PIP_TARGET PIP_PREFIX PIP_REQUIRE_VIRTUALENV PYTHONHOME PYTHONPATH VIRTUAL_ENV
export PIP_DISABLE_PIP_VERSION_CHECK=1

say() { printf 'trio-mm: %s\n' "$*" >&2; }

find_python() { # -> the first Python that can make our environment
    local candidate
    for candidate in ${MMTRIO_PYTHON:+"$MMTRIO_PYTHON"} python3.11 python3.12 python3.13 python3 python; do
        if "$candidate" -I -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    say "no suitable Python found. trio-mm needs Python 3.11 or newer with its venv module (on Debian and" \
        "Ubuntu: apt install python3 python3-venv). If it is installed under another name, say which:" \
        "MMTRIO_PYTHON=/path/to/python3.12 scripts/${0##*/}"
    return 1
}

environment_print() { # KIND -> one line that changes when the environment must; fails if there is none to run
    "$venv/bin/python" -I - "$root" "$1" <<'PYTHON' 2>/dev/null
import hashlib, os, sys
root, kind = sys.argv[1:]
site = f"{sys.prefix}/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
whole = (
    sys.version_info >= (3, 11)
    and os.path.realpath(sys.prefix) == os.path.realpath(f"{root}/.venv")
    and os.path.isfile(f"{site}/pip/__init__.py")
)
if not whole:
    sys.exit(1)
digest = hashlib.sha256(f"{root}\n{sys.version}\n".encode())
locks = ["requirements-build.txt", "requirements.txt"] + ["requirements-test.txt"] * (kind == "test")
for path in ["pyproject.toml", "scripts/environment.sh", *(f"scripts/{lock}" for lock in locks)]:
    with open(f"{root}/{path}", "rb") as file:
        digest.update(file.read() + b"\0")
print(digest.hexdigest())
PYTHON
}

is_ready() { # KIND
    local wanted found=
    [[ -x "$venv/bin/trio-mm" && ! -e "$venv/.installing" && -r "$venv/.stamp-$1" ]] || return 1
    wanted="$(environment_print "$1")" || return 1
    read -r found <"$venv/.stamp-$1" || true
    [[ "$found" == "$wanted" ]]
}

install_environment() { # KIND
    local kind="$1" lock="$root/scripts/requirements.txt" python started_s=$SECONDS
    [[ "$kind" == test ]] && lock="$root/scripts/requirements-test.txt"
    if [[ -e "$venv/.installing" ]] || ! environment_print "$kind" >/dev/null; then
        python="$(find_python)" || return 1
        [[ -e "$venv" ]] && say "the environment in .venv is unfinished or broken; making it again"
        say "making .venv with $("$python" -I -V 2>&1)"
        rm -rf "$venv" && mkdir "$venv" && : >"$venv/.installing" || return 1
        "$python" -I -m venv "$venv" >&2 || return 1
    fi
    : >"$venv/.installing" || return 1
    rm -f "$venv"/.stamp-*
    say "installing $(grep -c '==' "$lock") packages, each checked against its hash (about a minute)"
    # The build tool first, from its own lock: whatever must be built is then built with it, not with a download.
    pip_install --require-hashes -r "$root/scripts/requirements-build.txt" \
        && pip_install --require-hashes --no-build-isolation --prefer-binary -r "$lock" \
        && pip_install --no-deps --no-build-isolation -e "$root" \
        || { say "the install failed; the reason is above. Calling again starts afresh."; return 1; }
    if [[ "$kind" == test ]]; then
        environment_print run >"$venv/.stamp-run" || return 1 # the test lock holds the other one's pins
    fi
    environment_print "$kind" >"$venv/.stamp-$kind" && rm "$venv/.installing" || return 1
    say "ready after $((SECONDS - started_s)) s"
}

pip_install() { "$venv/bin/python" -I -m pip install -qq --progress-bar off --no-input "$@" >&2; }

ensure_environment() { # KIND
    is_ready "$1" && return
    (
        if command -v flock >/dev/null; then
            exec 9<"${BASH_SOURCE[0]}"
            flock --nonblock 9 || { say "waiting for another install to finish"; flock 9; }
        fi
        is_ready "$1" || install_environment "$1"
    )
}
