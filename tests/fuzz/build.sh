#!/bin/bash -eu
# SPDX-License-Identifier: MIT
#
# Builds the fuzz targets into $OUT: fuzz_NAME, with fuzz_NAME.dict, fuzz_NAME.options and
# fuzz_NAME_seed_corpus.zip. OSS-Fuzz sets all variables; without it clang builds them for libFuzzer
# with ASan and UBSan below build/fuzz/.
#
#     tests/fuzz/build.sh

if [ -n "${SRC:-}" ]; then # OSS-Fuzz runs a copy of this file
    folder=$SRC/greetd/tests/fuzz
else
    folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
fi
tree=$(cd "$folder/../.." && pwd)
sanitizers='-O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined
    -fno-sanitize-recover=all'

export CC=${CC:-clang} CXX=${CXX:-clang++}
# cmake reads both; a newline would end a line of its files.
export CFLAGS=${CFLAGS:-${sanitizers//$'\n'/ }} CXXFLAGS=${CXXFLAGS:-${sanitizers//$'\n'/ }}
engine=${LIB_FUZZING_ENGINE:--fsanitize=fuzzer}
work=${WORK:-$tree/build/fuzz}/cmake
out=${OUT:-$tree/build/fuzz/out}

cmake -S "$tree" -B "$work" -DBUILD_TESTING=OFF -DBUILD_FUZZERS=ON \
    -DFUZZING_ENGINE="$engine" >/dev/null
mkdir -p "$out"
targets=()
for source in "$folder"/fuzz_*.c; do
    targets+=("$(basename "$source" .c)")
done
cmake --build "$work" -j "$(nproc)" --target "${targets[@]}"

for target in "${targets[@]}"; do
    name=${target#fuzz_}
    cp "$work/tests/fuzz/$target" "$out/"
    for ending in dict options; do
        [ ! -e "$folder/$name.$ending" ] || cp "$folder/$name.$ending" "$out/$target.$ending"
    done
    python3 "$folder/corpus.py" "$out/${target}_seed_corpus.zip" \
        "$folder/seeds/$name" "$folder/found/$name" "$folder/corpus/$name.zip"
done
