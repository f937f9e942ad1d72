#!/usr/bin/env bash
# Builds the images named (all, without a name) with docker or buildah, or writes their digests.
#   docker/build.sh [core|train|serve ...]
#   docker/build.sh --lock          push them and write components/images.lock.json
# Environment:
#   REGISTRY      where the images go, e.g. europe-west4-docker.pkg.dev/PROJECT/daftt (default: daftt)
#   BASE_IMAGE    another base, e.g. one of a mirror or with a digest (default: the Dockerfiles' own)
#   PIP_CONF      a pip.conf with the index to use; it is mounted, never copied into an image
#   BUILD_FLAGS   further words for the builder, e.g. --no-cache, or buildah's --volume=HOST:INSIDE:ro;
#                 with docker's --push, images go to the registry as they are built
set -euo pipefail
cd "$(dirname "$0")/.."

builder=${BUILDER:-$(command -v docker > /dev/null && docker info > /dev/null 2>&1 && echo docker || command -v buildah || true)}
[ -n "$builder" ] || { echo "neither a running docker nor buildah is here; apt-get install buildah" >&2; exit 1; }
builder=$(basename "$builder")
version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' daftt_core/__init__.py)
registry=${REGISTRY:-daftt}

build() {
  local words=(build -f "docker/$1.Dockerfile" -t "$registry/$1:$version"
    --build-arg "VERSION=$version" --build-arg "REVISION=$(git rev-parse HEAD 2> /dev/null || echo unknown)"
    --secret "id=pip,src=${PIP_CONF:-/dev/null}")
  [ "$builder" = docker ] || words+=(--layers)
  [ -z "${BASE_IMAGE:-}" ] || words+=(--build-arg "BASE_IMAGE=$BASE_IMAGE")
  # shellcheck disable=SC2206 # several words are meant
  words+=(${BUILD_FLAGS:-})
  "$builder" "${words[@]}" .
}

# The registry's digest of one image, once it is pushed.
push() {
  local image="$registry/$1:$version" digest
  if [ "$builder" = docker ]; then
    [[ " ${BUILD_FLAGS:-} " = *" --push "* ]] || docker push --quiet "$image" > /dev/null
    digest=$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$image")
  else
    buildah push --quiet --digestfile "$work/$1" "$image" > /dev/null
    digest=$(cat "$work/$1")
  fi
  echo "$registry/$1@$digest"
}

if [ "${1:-}" = --lock ]; then
  [ -n "${REGISTRY:-}" ] || { echo "REGISTRY is not set: a digest is a registry's" >&2; exit 1; }
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  core=$(push core) train=$(push train) serve=$(push serve)
  printf '{\n "core": "%s",\n "train": "%s",\n "serve": "%s"\n}\n' "$core" "$train" "$serve" \
    > "$work/lock.json"
  mv "$work/lock.json" components/images.lock.json
  cat components/images.lock.json
else
  for name in "${@:-core train serve}"; do
    # shellcheck disable=SC2086 # the default is three words
    for each in $name; do build "$each"; done
  done
fi
