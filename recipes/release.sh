#!/usr/bin/env bash
# What a user will meet: builds wheel and sdist, installs the wheel into fresh environments, without extras and with each, and runs
# it outside the checkout. Needs a package index and some GB of disk; prints what it saw.
#
#   recipes/release.sh                       # no extras, then web, dicom, register, onnx one by one
#   recipes/release.sh "" web,dicom,onnx     # these sets of extras only
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ "$#" -gt 0 ]; then sets=("$@"); else sets=("" web dicom register onnx); fi

echo "== build"
"$python" -m venv "$work/build"
"$work/build/bin/python" -m pip install -q --disable-pip-version-check -c "$here/constraints.txt" build check-wheel-contents
(cd "$here" && "$work/build/bin/python" -m build --outdir "$work/dist" . > "$work/build.log" 2>&1) || { cat "$work/build.log"; exit 1; }
"$work/build/bin/check-wheel-contents" "$work"/dist/*.whl
ls -l "$work/dist"
mkdir -p "$here/dist" && cp "$work"/dist/* "$here/dist/"

for extras in "${sets[@]}"; do
    echo "== extras: ${extras:-none}"
    rm -rf "$work/env" "$work/out" && mkdir "$work/out"
    "$python" -m venv "$work/env"
    pip() { "$work/env/bin/python" -m pip --disable-pip-version-check "$@"; }
    pip install -q -c "$here/constraints.txt" "torch==$(sed -n 's/^torch==//p' "$here/constraints.txt")"
    wheel=$(echo "$work"/dist/*.whl)
    pip install -q -c "$here/constraints.txt" "$wheel${extras:+[$extras]}"
    pip check
    (
        cd "$work/out"  # outside the checkout
        promisam="$work/env/bin/promisam"
        "$promisam" --version
        "$promisam" weights list > /dev/null
        "$promisam" demo -o demo
        "$work/env/bin/python" -c 'import promisam, sys; assert "site-packages" in promisam.__file__; print("from", sys.prefix)'
        case ",$extras," in
        *,web,*) "$work/env/bin/python" -c 'from promisam.app import start; print("the annotator can be imported")' ;;
        *) { "$promisam" annotate . --no-browser 2>&1 || true; } | grep -q "promisam\[web\]" && echo "annotate says which extra it needs" ;;
        esac
    )
    pip list 2> /dev/null | grep -i -E "^torchvision" && { echo "torchvision must not be there" >&2; exit 1; }
    echo "== sound: ${extras:-none}"
done
echo "== all sound; wheel and sdist are in $here/dist"
