#!/usr/bin/env python3
"""Images and layers through ECR's API, as boto3 asks for them.

Needs a registry at `--endpoint`, and an access key of someone who may do everything in AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY; AWS_DEFAULT_REGION is the region. Repositories get names of their own and are removed at the end.
"""

import argparse
import contextlib
import hashlib
import json
import secrets
import sys
import threading
import traceback
import urllib.error
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

IMAGE = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
ABSENT = "sha256:" + "0" * 64
MIB = 1 << 20
CHECKS = []


def check(function):
    """A named check: it gets a repository of its own."""
    CHECKS.append(function)
    return function


def digest_of(content):
    content = content.encode() if isinstance(content, str) else content
    return "sha256:" + hashlib.sha256(content).hexdigest()


class Repository:
    """One repository and short ways to fill it."""

    def __init__(self, ecr, name, endpoint):
        self.ecr, self.name, self.endpoint = ecr, name, endpoint

    def __getattr__(self, operation):
        """An operation of the client with the repository's name."""
        call = getattr(self.ecr, operation)
        return lambda **arguments: call(repositoryName=self.name, **arguments)

    def upload(self, content):
        """A layer in one part; its descriptor. A layer that is there is no mistake."""
        upload = self.initiate_layer_upload()["uploadId"]
        self.upload_layer_part(
            uploadId=upload, partFirstByte=0, partLastByte=len(content) - 1, layerPartBlob=content
        )
        digest = digest_of(content)
        try:
            self.complete_layer_upload(uploadId=upload, layerDigests=[digest])
        except self.ecr.exceptions.LayerAlreadyExistsException:
            pass
        return {"mediaType": LAYER, "digest": digest, "size": len(content)}

    def manifest(self, label, layers=None, **members):
        """The text of a manifest whose config and layers are there."""
        config = {**self.upload(json.dumps({"label": label}).encode()), "mediaType": CONFIG}
        layers = [self.upload(b"layer")] if layers is None else layers
        document = {"schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": layers, **members}
        return json.dumps(document, indent=3)

    def put(self, manifest, tag=None, **arguments):
        if tag:
            arguments["imageTag"] = tag
        return self.put_image(imageManifest=manifest, **arguments)["image"]

    def image(self, label, *tags, **members):
        """An image with tags; its manifest."""
        manifest = self.manifest(label, **members)
        for tag in tags or [None]:
            self.put(manifest, tag)
        return manifest

    def index(self, children, tag=None):
        document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor(child) for child in children]}
        manifest = json.dumps(document)
        self.put(manifest, tag)
        return manifest

    def ids(self, **arguments):
        """All pages of ListImages, as sorted pairs of digest and tag."""
        pages = self.ecr.get_paginator("list_images").paginate(repositoryName=self.name, **arguments)
        return sorted((one["imageDigest"], one.get("imageTag", "")) for page in pages for one in page["imageIds"])

    def details(self, **arguments):
        """All pages of DescribeImages by digest."""
        pages = self.ecr.get_paginator("describe_images").paginate(repositoryName=self.name, **arguments)
        return {one["imageDigest"]: one for page in pages for one in page["imageDetails"]}


def descriptor(manifest):
    return {"mediaType": json.loads(manifest)["mediaType"], "digest": digest_of(manifest), "size": len(manifest)}


def equal(found, wanted, what=""):
    assert found == wanted, f"{what}: found {found!r}, wanted {wanted!r}"


def fails(code, call, **arguments):
    """The call fails with this code; the error's response."""
    try:
        answer = call(**arguments)
    except ClientError as error:
        equal(error.response["Error"]["Code"], code, f"code of {error.response['Error']['Message']!r}")
        return error.response
    raise AssertionError(f"{code} was wanted, and came {answer!r}")


def failures(answer):
    return [failure["failureCode"] for failure in answer["failures"]]


def message(response):
    return response["Error"]["Message"]


# Layers


@check
def a_layer_is_uploaded_in_parts(repository):
    content = secrets.token_bytes(11 * MIB + 17)
    started = repository.initiate_layer_upload()
    equal(started["partSize"], 10 * MIB, "partSize")
    upload = started["uploadId"]
    for first in range(0, len(content), 5 * MIB):
        part = content[first : first + 5 * MIB]
        last = first + len(part) - 1
        answer = repository.upload_layer_part(
            uploadId=upload, partFirstByte=first, partLastByte=last, layerPartBlob=part
        )
        equal(answer["lastByteReceived"], last, "lastByteReceived")
        equal((answer["repositoryName"], answer["uploadId"]), (repository.name, upload))
    digest = digest_of(content)
    answer = repository.complete_layer_upload(uploadId=upload, layerDigests=[digest])
    equal((answer["layerDigest"], answer["uploadId"]), (digest, upload))
    layer = repository.batch_check_layer_availability(layerDigests=[digest])["layers"][0]
    equal((layer["layerAvailability"], layer["layerSize"]), ("AVAILABLE", len(content)))


@check
def the_largest_part_is_taken_and_a_larger_one_refused(repository):
    content = bytes(20 * MIB)
    repository.upload(content)
    upload = repository.initiate_layer_upload()["uploadId"]
    larger = content + b"x"
    fails(
        "InvalidParameterException",
        repository.upload_layer_part,
        uploadId=upload,
        partFirstByte=0,
        partLastByte=len(larger) - 1,
        layerPartBlob=larger,
    )


@check
def a_part_out_of_order_is_refused_and_told_where_to_go_on(repository):
    upload = repository.initiate_layer_upload()["uploadId"]
    part = {"uploadId": upload, "layerPartBlob": b"0123456789"}
    response = fails(
        "InvalidLayerPartException", repository.upload_layer_part, partFirstByte=5, partLastByte=14, **part
    )
    assert "lastValidByteReceived" not in response, response
    repository.upload_layer_part(partFirstByte=0, partLastByte=9, **part)
    for first in (0, 5, 11):
        response = fails(
            "InvalidLayerPartException", repository.upload_layer_part, partFirstByte=first, partLastByte=first + 9, **part
        )
        equal(response["lastValidByteReceived"], 9)
        equal((response["uploadId"], response["repositoryName"]), (upload, repository.name))
    repository.upload_layer_part(partFirstByte=10, partLastByte=19, **part)


@check
def every_part_but_the_last_has_at_least_5_mib(repository):
    for sizes, code in (((5 * MIB, 1), None), ((5 * MIB - 1, 1), "LayerPartTooSmallException")):
        content = secrets.token_bytes(sum(sizes))
        upload = repository.initiate_layer_upload()["uploadId"]
        first = 0
        for size in sizes:
            repository.upload_layer_part(
                uploadId=upload,
                partFirstByte=first,
                partLastByte=first + size - 1,
                layerPartBlob=content[first : first + size],
            )
            first += size
        arguments = {"uploadId": upload, "layerDigests": [digest_of(content)]}
        if code:
            fails(code, repository.complete_layer_upload, **arguments)
        else:
            repository.complete_layer_upload(**arguments)


@check
def a_part_must_have_as_many_bytes_as_it_says(repository):
    upload = repository.initiate_layer_upload()["uploadId"]
    for last, content in ((10, b"0123456789"), (8, b"0123456789"), (0, b"")):
        fails(
            "InvalidLayerPartException",
            repository.upload_layer_part,
            uploadId=upload,
            partFirstByte=0,
            partLastByte=last,
            layerPartBlob=content,
        )


@check
def an_upload_that_is_not_there(repository):
    upload = "01234567-89ab-4def-8123-456789abcdef"
    part = {"partFirstByte": 0, "partLastByte": 0, "layerPartBlob": b"x"}
    fails("UploadNotFoundException", repository.upload_layer_part, uploadId=upload, **part)
    fails("UploadNotFoundException", repository.upload_layer_part, uploadId=upload, **{**part, "partLastByte": 7})
    fails("UploadNotFoundException", repository.complete_layer_upload, uploadId=upload, layerDigests=[ABSENT])
    fails("InvalidParameterException", repository.complete_layer_upload, uploadId="x", layerDigests=[ABSENT])


@check
def an_upload_ends_with_one_of_the_digests_that_are_named(repository):
    def part(content):
        upload = repository.initiate_layer_upload()["uploadId"]
        repository.upload_layer_part(
            uploadId=upload, partFirstByte=0, partLastByte=len(content) - 1, layerPartBlob=content
        )
        return upload

    fails("InvalidLayerException", repository.complete_layer_upload, uploadId=part(b"one"), layerDigests=[ABSENT])
    digest = digest_of(b"one")
    answer = repository.complete_layer_upload(uploadId=part(b"one"), layerDigests=[ABSENT, "tarsum+x:ab", digest])
    equal(answer["layerDigest"], digest)
    long = "sha512:" + hashlib.sha512(b"two").hexdigest()
    answer = repository.complete_layer_upload(uploadId=part(b"two"), layerDigests=[ABSENT, long])
    equal(answer["layerDigest"], long)
    fails("InvalidParameterException", repository.complete_layer_upload, uploadId=part(b"three"), layerDigests=["x"])


@check
def an_upload_without_bytes_is_empty(repository):
    upload = repository.initiate_layer_upload()["uploadId"]
    fails(
        "EmptyUploadException", repository.complete_layer_upload, uploadId=upload, layerDigests=[digest_of(b"")]
    )


@check
def a_layer_that_is_there_already(repository):
    content = secrets.token_bytes(100)
    repository.upload(content)
    upload = repository.initiate_layer_upload()["uploadId"]
    repository.upload_layer_part(uploadId=upload, partFirstByte=0, partLastByte=99, layerPartBlob=content)
    arguments = {"uploadId": upload, "layerDigests": [digest_of(content)]}
    fails("LayerAlreadyExistsException", repository.complete_layer_upload, **arguments)
    fails("UploadNotFoundException", repository.complete_layer_upload, **arguments)


@check
def layers_that_are_here_and_that_are_not(repository):
    here = repository.upload(b"here")["digest"]
    answer = repository.batch_check_layer_availability(layerDigests=[here, ABSENT, "tarsum.v1+x:ab", "x", " "])
    found = {layer["layerDigest"]: (layer["layerAvailability"], layer.get("layerSize")) for layer in answer["layers"]}
    absent = ("UNAVAILABLE", None)
    equal(found, {here: ("AVAILABLE", 4), ABSENT: absent, "tarsum.v1+x:ab": absent})
    failed = [(failure["layerDigest"], failure["failureCode"]) for failure in answer["failures"]]
    equal(failed, [("x", "InvalidLayerDigest"), (" ", "MissingLayerDigest")])
    fails("InvalidParameterException", repository.batch_check_layer_availability, layerDigests=[ABSENT] * 101)


@check
def layers_have_the_types_that_manifests_give_them(repository):
    layer, lonely = repository.upload(b"a layer"), repository.upload(b"another")["digest"]
    repository.image("a", layers=[layer])
    answer = repository.batch_check_layer_availability(layerDigests=[layer["digest"], lonely])
    equal([one.get("mediaType") for one in answer["layers"]], [layer["mediaType"], None])


@check
def an_upload_makes_the_repository(repository):
    with another(repository) as other:
        other.delete_repository()
        layer = other.upload(b"first")
        equal(other.batch_check_layer_availability(layerDigests=[layer["digest"]])["layers"][0]["layerSize"], 5)


@check
def a_layer_of_another_repository_is_not_here(repository):
    with another(repository) as other:
        digest = other.upload(b"elsewhere")["digest"]
    layer = repository.batch_check_layer_availability(layerDigests=[digest])["layers"][0]
    equal(layer["layerAvailability"], "UNAVAILABLE")


@check
def a_layer_is_downloaded(repository):
    content = secrets.token_bytes(1000)
    layer = repository.upload(content)
    fails("LayerInaccessibleException", repository.get_download_url_for_layer, layerDigest=layer["digest"])
    fails("LayersNotFoundException", repository.get_download_url_for_layer, layerDigest=ABSENT)
    fails("LayersNotFoundException", repository.get_download_url_for_layer, layerDigest="tarsum.v1+x:ab")
    fails("InvalidParameterException", repository.get_download_url_for_layer, layerDigest="x")
    repository.image("a", layers=[layer])
    answer = repository.get_download_url_for_layer(layerDigest=layer["digest"])
    equal(answer["layerDigest"], layer["digest"])
    url = answer["downloadUrl"]
    # The URL needs no login, and is for nothing else.
    with urllib.request.urlopen(url) as response:
        equal(response.read(), content)
    for other in (url.replace(layer["digest"], ABSENT), url.split("?")[0]):
        try:
            urllib.request.urlopen(other)
            raise AssertionError(f"{other} is served")
        except urllib.error.HTTPError as error:
            assert error.code in (401, 403), error.code


# PutImage


@check
def an_image_is_put_and_comes_back_byte_for_byte(repository):
    manifest = repository.manifest("exact", annotations={"text": "ä € \u2028 \t"}) + "\n\n "
    image = repository.put(manifest, "v1", imageDigest=digest_of(manifest))
    equal(image["imageId"], {"imageDigest": digest_of(manifest), "imageTag": "v1"})
    equal((image["imageManifest"], image["imageManifestMediaType"]), (manifest, IMAGE))
    equal(image["repositoryName"], repository.name)
    got = repository.batch_get_image(imageIds=[{"imageTag": "v1"}])["images"][0]
    equal(got, image)


@check
def an_image_that_is_there_already(repository):
    manifest = repository.image("a", "v1")
    response = fails("ImageAlreadyExistsException", repository.put_image, imageManifest=manifest, imageTag="v1")
    text = f"Image with digest '{digest_of(manifest)}' and tag 'v1' already exists in the repository with name '{repository.name}'"
    assert message(response).startswith(text), message(response)
    fails("ImageAlreadyExistsException", repository.put_image, imageManifest=manifest)
    repository.put(manifest, "v2")
    equal(repository.details()[digest_of(manifest)]["imageTags"], ["v1", "v2"])


@check
def a_tag_moves_and_the_image_that_had_it_stays(repository):
    first, second = repository.image("first", "v1"), repository.image("second", "v1")
    equal(repository.ids(), sorted([(digest_of(first), ""), (digest_of(second), "v1")]))


@check
def an_immutable_tag_does_not_move(repository):
    first, second = repository.image("first", "v1"), repository.manifest("second")
    repository.put_image_tag_mutability(imageTagMutability="IMMUTABLE")
    fails("ImageTagAlreadyExistsException", repository.put_image, imageManifest=second, imageTag="v1")
    fails("ImageAlreadyExistsException", repository.put_image, imageManifest=first, imageTag="v1")
    equal(repository.ids(), [(digest_of(first), "v1")], "nothing was kept")
    repository.put(second, "v2")


@check
def a_digest_that_is_not_the_manifests(repository):
    manifest = repository.manifest("a")
    call = repository.put_image
    fails("ImageDigestDoesNotMatchException", call, imageManifest=manifest, imageTag="v1", imageDigest=ABSENT)
    equal(repository.ids(), [])


@check
def an_image_without_its_layers_or_children(repository):
    missing = {"mediaType": LAYER, "digest": ABSENT, "size": 1}
    response = fails(
        "LayersNotFoundException", repository.put_image, imageManifest=repository.manifest("a", layers=[missing])
    )
    assert ABSENT in message(response), message(response)
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [{**missing, "mediaType": IMAGE}]}
    response = fails("ReferencedImagesNotFoundException", repository.put_image, imageManifest=json.dumps(index))
    assert ABSENT in message(response), message(response)
    equal(repository.ids(), [])


@check
def what_is_no_manifest(repository):
    fails("InvalidParameterException", repository.put_image, imageManifest="<html>")
    fails("InvalidParameterException", repository.put_image, imageManifest="{}", imageTag="-v1")
    long = json.dumps({"schemaVersion": 2, "x": "x" * (4 * MIB)})
    fails("InvalidParameterException", repository.put_image, imageManifest=long)
    wrong = repository.upload(b"layer")
    manifest = repository.manifest("a", layers=[{**wrong, "size": 6}])
    fails("InvalidParameterException", repository.put_image, imageManifest=manifest)
    manifest = repository.manifest("a")
    fails("InvalidParameterException", repository.put_image, imageManifest=manifest, imageManifestMediaType=INDEX)


@check
def a_manifest_that_does_not_say_its_type(repository):
    document = json.loads(repository.manifest("a"))
    del document["mediaType"]
    docker = "application/vnd.docker.distribution.manifest.v2+json"
    image = repository.put(json.dumps(document), "v1", imageManifestMediaType=docker)
    equal(image["imageManifestMediaType"], docker)


# BatchGetImage


@check
def images_by_tag_by_digest_and_by_both(repository):
    manifest = repository.image("a", "v1", "v2")
    digest = digest_of(manifest)
    ids = [{"imageTag": "v2"}, {"imageDigest": digest}, {"imageDigest": digest, "imageTag": "v1"}]
    answer = repository.batch_get_image(imageIds=ids)
    equal([image["imageId"] for image in answer["images"]], [{**one, "imageDigest": digest} for one in ids])
    equal({image["imageManifest"] for image in answer["images"]}, {manifest})
    equal(answer["failures"], [])


@check
def images_that_cannot_be_got(repository):
    one, two = digest_of(repository.image("one", "v1")), digest_of(repository.image("two", "v2"))
    ids = [
        {"imageTag": "none"},
        {"imageDigest": ABSENT},
        {"imageDigest": one, "imageTag": "v2"},
        {"imageDigest": "sha256:xyz"},
        {"imageTag": "-"},
        {},
        {"imageTag": "v2"},
    ]
    answer = repository.batch_get_image(imageIds=ids)
    codes = [
        "ImageNotFound",
        "ImageNotFound",
        "ImageTagDoesNotMatchDigest",
        "InvalidImageDigest",
        "InvalidImageTag",
        "MissingDigestAndTag",
    ]
    equal(failures(answer), codes)
    equal([failure["imageId"] for failure in answer["failures"]], ids[:-1])
    equal(answer["failures"][0]["failureReason"], "Requested image not found")
    equal([image["imageId"]["imageDigest"] for image in answer["images"]], [two])
    fails("InvalidParameterException", repository.batch_get_image, imageIds=[{"imageTag": "v1"}] * 101)


@check
def the_stored_manifest_comes_whatever_is_accepted(repository):
    manifest = repository.image("a", "v1")
    accepted = ["application/json", "application/vnd.docker.distribution.manifest.v1+prettyjws"]
    answer = repository.batch_get_image(imageIds=[{"imageTag": "v1"}], acceptedMediaTypes=accepted)
    equal(answer["images"][0]["imageManifest"], manifest)


@check
def getting_an_image_is_a_pull(repository):
    digest = digest_of(repository.image(repository.name, "v1"))
    assert "lastRecordedPullTime" not in repository.details()[digest]
    repository.batch_get_image(imageIds=[{"imageTag": "v1"}])
    detail = repository.details()[digest]
    assert detail["lastRecordedPullTime"] >= detail["imagePushedAt"], detail


@check
def pulls_are_forgotten_with_their_repository(repository):
    with another(repository) as other:
        manifest = other.image("a", "v1")
        other.batch_get_image(imageIds=[{"imageTag": "v1"}])
    with another(repository) as other:
        other.image("a", "v1")
        assert "lastRecordedPullTime" not in other.details()[digest_of(manifest)]


# BatchDeleteImage


@check
def a_tag_is_deleted_and_the_image_with_the_last(repository):
    digest = digest_of(repository.image("a", "v1", "v2"))
    answer = repository.batch_delete_image(imageIds=[{"imageTag": "v1"}])
    equal(answer["imageIds"], [{"imageDigest": digest, "imageTag": "v1"}])
    equal(repository.ids(), [(digest, "v2")])
    answer = repository.batch_delete_image(imageIds=[{"imageDigest": digest, "imageTag": "v2"}])
    equal(answer["imageIds"], [{"imageDigest": digest, "imageTag": "v2"}])
    equal((repository.ids(), answer["failures"]), ([], []))


@check
def an_image_is_deleted_with_all_its_tags(repository):
    digest = digest_of(repository.image("a", "v2", "v1"))
    answer = repository.batch_delete_image(imageIds=[{"imageDigest": digest}])
    equal(answer["imageIds"], [{"imageDigest": digest, "imageTag": tag} for tag in ("v1", "v2")])
    equal(repository.ids(), [])
    untagged = digest_of(repository.image("b"))
    answer = repository.batch_delete_image(imageIds=[{"imageDigest": untagged}])
    equal(answer["imageIds"], [{"imageDigest": untagged}])


@check
def images_that_cannot_be_deleted(repository):
    one, two = digest_of(repository.image("one", "v1")), digest_of(repository.image("two", "v2"))
    ids = [{"imageTag": "none"}, {"imageDigest": ABSENT}, {"imageDigest": one, "imageTag": "v2"}, {"imageDigest": "x"}, {}]
    answer = repository.batch_delete_image(imageIds=ids)
    codes = ["ImageNotFound", "ImageNotFound", "ImageTagDoesNotMatchDigest", "InvalidImageDigest", "MissingDigestAndTag"]
    equal((failures(answer), answer["imageIds"]), (codes, []))
    equal([failure["imageId"] for failure in answer["failures"]], ids)
    equal(repository.ids(), sorted([(one, "v1"), (two, "v2")]))
    fails("InvalidParameterException", repository.batch_delete_image, imageIds=[{"imageTag": "v1"}] * 101)


@check
def a_child_stays_as_long_as_an_index_has_it(repository):
    child = repository.image("child", "child", "other")
    index = repository.index([child], "index")
    digest, parent = digest_of(child), digest_of(index)
    answer = repository.batch_delete_image(imageIds=[{"imageDigest": digest}])
    equal(failures(answer), ["ImageReferencedByManifestList"])
    equal(answer["failures"][0]["failureReason"], f"Requested image referenced by manifest list: [{parent}]")
    # A tag that is not the last can go; the last would take the image with it.
    equal(failures(repository.batch_delete_image(imageIds=[{"imageTag": "other"}])), [])
    equal(failures(repository.batch_delete_image(imageIds=[{"imageTag": "child"}])), ["ImageReferencedByManifestList"])
    equal(repository.ids(), sorted([(digest, "child"), (parent, "index")]))
    answer = repository.batch_delete_image(imageIds=[{"imageDigest": digest}, {"imageDigest": parent}])
    equal((len(answer["imageIds"]), answer["failures"], repository.ids()), (2, [], []))


@check
def what_was_listed_can_be_deleted(repository):
    children = [repository.image(str(number)) for number in range(3)]
    repository.index(children, "a")
    repository.image("b", "b", "c")
    answer = repository.batch_delete_image(imageIds=repository.list_images()["imageIds"])
    equal((len(answer["imageIds"]), answer["failures"], repository.ids()), (6, [], []))


# DescribeImages


@check
def an_image_is_described(repository):
    layers = [repository.upload(b"x" * 1000), repository.upload(b"y" * 234)]
    manifest = repository.image("a", "v1", layers=layers)
    detail = repository.details()[digest_of(manifest)]
    size = len(manifest) + 1234 + json.loads(manifest)["config"]["size"]
    equal(detail["imageSizeInBytes"], size, "imageSizeInBytes")
    equal((detail["imageTags"], detail["imageStatus"]), (["v1"], "ACTIVE"))
    equal((detail["imageManifestMediaType"], detail["artifactMediaType"]), (IMAGE, CONFIG))
    equal(detail["repositoryName"], repository.name)
    equal(detail["registryId"], repository.ecr.describe_registry()["registryId"])
    assert "subjectManifestDigest" not in detail and "lastArchivedAt" not in detail, detail


@check
def an_index_is_as_large_as_its_largest_child(repository):
    small = repository.image("s", layers=[repository.upload(b"s")])
    large = repository.image("l", layers=[repository.upload(b"l" * 5000)])
    index = repository.index([small, large], "index")
    details = repository.details()
    equal(details[digest_of(index)]["imageSizeInBytes"], details[digest_of(large)]["imageSizeInBytes"])
    assert "artifactMediaType" not in details[digest_of(index)]
    assert "imageTags" not in details[digest_of(small)]


@check
def a_referrer_is_described_with_its_subject(repository):
    subject = repository.image("subject", "v1")
    referrer = repository.image("referrer", subject=descriptor(subject), artifactType="text/sbom")
    detail = repository.details()[digest_of(referrer)]
    equal((detail["subjectManifestDigest"], detail["artifactMediaType"]), (digest_of(subject), "text/sbom"))


@check
def named_images_are_described(repository):
    one, two = digest_of(repository.image("one", "v1", "v1a")), digest_of(repository.image("two", "v2"))
    ids = [{"imageTag": "v1"}, {"imageTag": "v1a"}, {"imageDigest": two, "imageTag": "v2"}]
    answer = repository.describe_images(imageIds=ids)
    equal([detail["imageDigest"] for detail in answer["imageDetails"]], [one, two])
    equal(answer["imageDetails"][0]["imageTags"], ["v1", "v1a"])


@check
def named_images_that_are_not_there(repository):
    digest = digest_of(repository.image("a", "v1"))
    registry = repository.ecr.describe_registry()["registryId"]
    response = fails("ImageNotFoundException", repository.describe_images, imageIds=[{"imageTag": "v1"}, {"imageTag": "no"}])
    equal(
        message(response),
        "The image with imageId {imageDigest:'null', imageTag:'no'} does not exist within the repository with name "
        f"'{repository.name}' in the registry with id '{registry}'",
    )
    for image in ({"imageDigest": ABSENT}, {"imageDigest": digest, "imageTag": "no"}, {"imageDigest": "sha256:ab"}):
        fails("ImageNotFoundException", repository.describe_images, imageIds=[image])
    for image in ({"imageDigest": "x"}, {"imageTag": "-"}, {}):
        fails("InvalidParameterException", repository.describe_images, imageIds=[image])
    fails("InvalidParameterException", repository.describe_images, imageIds=[{"imageTag": "v1"}], maxResults=1)


@check
def images_are_described_in_pages_and_by_filter(repository):
    tagged = {digest_of(repository.image(f"t{number}", f"t{number}")) for number in range(5)}
    untagged = {digest_of(repository.image(f"u{number}")) for number in range(4)}
    call = repository.describe_images
    for status, wanted in (("TAGGED", tagged), ("UNTAGGED", untagged), ("ANY", tagged | untagged)):
        found, token, pages = [], {}, 0
        while token is not None:
            page = call(maxResults=2, filter={"tagStatus": status}, **token)
            assert 0 < len(page["imageDetails"]) <= 2, page
            found += [detail["imageDigest"] for detail in page["imageDetails"]]
            pages += 1
            token = {"nextToken": page["nextToken"]} if "nextToken" in page else None
        equal((set(found), len(found), pages), (wanted, len(wanted), (len(wanted) + 1) // 2), status)
    equal(set(repository.details(filter={"imageStatus": "ANY"})), tagged | untagged)
    equal(repository.details(filter={"imageStatus": "ARCHIVED"}), {})
    fails("InvalidParameterException", call, maxResults=1001)
    fails("InvalidParameterException", call, nextToken="x")
    fails("InvalidParameterException", call, filter={"tagStatus": "SOME"})


# ListImages


@check
def images_are_listed_in_pages_and_by_filter(repository):
    many, one = repository.image("many", *[f"m{number}" for number in range(5)]), repository.image("one", "one")
    tagged = sorted([(digest_of(many), f"m{number}") for number in range(5)] + [(digest_of(one), "one")])
    untagged = sorted((digest_of(repository.image(f"u{number}")), "") for number in range(4))
    everything = sorted(tagged + untagged)
    for status, wanted in (("TAGGED", tagged), ("UNTAGGED", untagged), ("ANY", everything)):
        for size in (1, 2, 3, 4, 6, 10, 1000):
            found = repository.ids(filter={"tagStatus": status}, PaginationConfig={"PageSize": size})
            equal(found, wanted, f"{status} by {size}")
    equal(repository.ids(), everything)
    first = repository.list_images(maxResults=6)
    equal([one["imageTag"] for one in first["imageIds"]], ["m0", "m1", "m2", "m3", "m4", "one"])
    rest = repository.list_images(nextToken=first["nextToken"])
    assert len(rest["imageIds"]) == 4 and "nextToken" not in rest, rest
    assert "nextToken" not in repository.list_images(maxResults=10)
    equal(repository.ids(filter={"imageStatus": "ACTIVATING"}), [])
    fails("InvalidParameterException", repository.list_images, maxResults=1001)
    fails("InvalidParameterException", repository.list_images, nextToken="x")
    described = repository.describe_images(maxResults=1)["nextToken"]
    fails("InvalidParameterException", repository.list_images, nextToken=described)


@check
def a_page_has_a_hundred_entries_by_default(repository):
    manifest = repository.image("a", *[f"t{number:03}" for number in range(101)])
    page = repository.list_images()
    equal((len(page["imageIds"]), "nextToken" in page), (100, True))
    equal(len(repository.details()[digest_of(manifest)]["imageTags"]), 101)


# ListImageReferrers


@check
def referrers_are_listed_in_pages_and_by_type(repository):
    subject = repository.image("subject", "v1")
    wanted = {}
    for number, kind in enumerate(["text/a", "text/b", "text/c"] * 8):
        members = {"artifactType": kind, "subject": descriptor(subject), "annotations": {"n": str(number)}}
        referrer = repository.image(f"r{number}", **members)
        wanted[digest_of(referrer)] = (kind, len(referrer), {"n": str(number)})
    subject_id = {"imageDigest": digest_of(subject)}

    def listed(**arguments):
        found, token, pages = {}, {}, 0
        while token is not None:
            page = repository.list_image_referrers(subjectId=subject_id, **arguments, **token)
            for one in page["referrers"]:
                assert one["digest"] not in found, one
                equal((one["artifactStatus"], one["mediaType"]), ("ACTIVE", IMAGE))
                found[one["digest"]] = (one["artifactType"], one["size"], one["annotations"])
            pages += 1
            token = {"nextToken": page["nextToken"]} if "nextToken" in page else None
        return found, pages

    equal(listed(), (wanted, 2), "20 in a page by default")
    equal(listed(maxResults=50), (wanted, 1))
    equal(listed(maxResults=5), (wanted, 5))
    of_type = {digest: one for digest, one in wanted.items() if one[0] != "text/b"}
    equal(listed(maxResults=3, filter={"artifactTypes": ["text/c", "text/a", "text/x"]}), (of_type, 6))
    equal(listed(filter={"artifactStatus": "ARCHIVED"}), ({}, 1))
    equal(listed(filter={"artifactStatus": "ANY"}), (wanted, 2))
    call = repository.list_image_referrers
    fails("InvalidParameterException", call, subjectId=subject_id, maxResults=51)
    fails("InvalidParameterException", call, subjectId=subject_id, filter={"artifactTypes": ["x"] * 6})
    equal(call(subjectId={"imageDigest": ABSENT})["referrers"], [])


# Everything


@check
def a_repository_that_is_not_there(repository):
    missing = Repository(repository.ecr, f"{repository.name}/missing", repository.endpoint)
    upload = "01234567-89ab-4def-8123-456789abcdef"
    part = {"uploadId": upload, "partFirstByte": 0, "partLastByte": 0, "layerPartBlob": b"x"}
    for operation, arguments in (
        ("describe_images", {}),
        ("describe_images", {"imageIds": [{"imageTag": "v1"}]}),
        ("list_images", {}),
        ("batch_get_image", {"imageIds": [{"imageTag": "v1"}]}),
        ("batch_delete_image", {"imageIds": [{"imageTag": "v1"}]}),
        ("put_image", {"imageManifest": "{}"}),
        ("list_image_referrers", {"subjectId": {"imageDigest": ABSENT}}),
        ("batch_check_layer_availability", {"layerDigests": [ABSENT]}),
        ("upload_layer_part", part),
        ("complete_layer_upload", {"uploadId": upload, "layerDigests": [ABSENT]}),
        ("get_download_url_for_layer", {"layerDigest": ABSENT}),
    ):
        response = fails("RepositoryNotFoundException", getattr(missing, operation), **arguments)
        assert missing.name in message(response), message(response)


@check
def what_the_api_puts_an_oci_client_gets(repository):
    manifest = repository.image("a", "v1")
    token = repository.ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    headers = {"Authorization": f"Basic {token}", "Accept": IMAGE}
    url = f"{repository.endpoint}/v2/{repository.name}/manifests"
    with urllib.request.urlopen(urllib.request.Request(f"{url}/v1", headers=headers)) as response:
        equal(response.read().decode(), manifest)
        equal(response.headers["Docker-Content-Digest"], digest_of(manifest))
    repository.batch_delete_image(imageIds=[{"imageTag": "v1"}])
    for reference in ("v1", digest_of(manifest)):
        try:
            urllib.request.urlopen(urllib.request.Request(f"{url}/{reference}", headers=headers))
            raise AssertionError(f"{reference} is still there")
        except urllib.error.HTTPError as error:
            equal(error.code, 404)


@check
def images_are_put_and_deleted_at_once(repository):
    manifests = [repository.manifest(str(number)) for number in range(8)]
    wrong = []

    def work(number):
        try:
            for _ in range(5):
                repository.put(manifests[number], f"t{number}")
                repository.batch_get_image(imageIds=[{"imageTag": f"t{number}"}])
                equal(failures(repository.batch_delete_image(imageIds=[{"imageTag": f"t{number}"}])), [])
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(manifests))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal((wrong, repository.ids()), ([], []))


@contextlib.contextmanager
def another(repository):
    """A second repository for one check."""
    other = Repository(repository.ecr, f"{repository.name}-other", repository.endpoint)
    other.create_repository()
    try:
        yield other
    finally:
        other.delete_repository(force=True)


def run(function, ecr, endpoint):
    """Whether the check passed."""
    name = f"ecr-images/{function.__name__.replace('_', '-')}-{secrets.token_hex(4)}"
    repository = Repository(ecr, name, endpoint)
    try:
        repository.create_repository()
        function(repository)
        return True
    except Exception:
        print(f"FAILED {function.__name__}", flush=True)
        traceback.print_exc(file=sys.stdout)
        return False
    finally:
        with contextlib.suppress(ecr.exceptions.RepositoryNotFoundException):
            repository.delete_repository(force=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--endpoint", required=True, help="such as http://127.0.0.1:5000")
    parser.add_argument("--only", default="", help="checks with this in their name")
    arguments = parser.parse_args()
    endpoint = arguments.endpoint.rstrip("/")
    # Each call is one request, so that what fails is seen; limits are the registry's to check.
    config = Config(retries={"total_max_attempts": 1}, parameter_validation=False, max_pool_connections=16)
    ecr = boto3.client("ecr", endpoint_url=endpoint, config=config)
    results = [run(function, ecr, endpoint) for function in CHECKS if arguments.only in function.__name__]
    passed = sum(results)
    print(f"{passed} passed, {len(results) - passed} failed")
    return 0 if passed == len(results) else 1


if __name__ == "__main__":
    sys.exit(main())
