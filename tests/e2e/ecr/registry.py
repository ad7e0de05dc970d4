#!/usr/bin/env python3
"""Tokens, repositories, resource tags, policies and settings through ECR's API, as boto3 asks for them.

Needs a registry at `--endpoint`, and an access key of someone who may do everything in AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY; AWS_DEFAULT_REGION is the region. What is made gets names of its own and is removed at the end.
"""

import argparse
import base64
import datetime
import json
import secrets
import sys
import traceback
import urllib.error
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

CHECKS = []
EVERYBODY_PULLS = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "everybody pulls",
            "Effect": "Allow",
            "Principal": "*",
            "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
        }
    ],
}


def check(function):
    CHECKS.append(function)
    return function


def fault(expected, call, **arguments):
    """The message of the fault that must come."""
    try:
        call(**arguments)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        assert code == expected, f"{code} where {expected} was expected: {error}"
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        return error.response["Error"]["Message"]
    raise AssertionError(f"no fault where {expected} was expected")


class Registry:
    def __init__(self, ecr, endpoint):
        self.ecr, self.endpoint, self.made = ecr, endpoint, []

    def name(self, word="repo"):
        return f"check-{secrets.token_hex(4)}/{word}"

    def make(self, name=None, **arguments):
        name = name or self.name()
        made = self.ecr.create_repository(repositoryName=name, **arguments)["repository"]
        self.made.append(name)
        return made

    def clean(self):
        for name in self.made:
            try:
                self.ecr.delete_repository(repositoryName=name, force=True)
            except self.ecr.exceptions.RepositoryNotFoundException:
                pass
        self.made = []

    def status(self, path, authorization=None):
        """Of a request to the data plane."""
        request = urllib.request.Request(self.endpoint + path)
        if authorization:
            request.add_header("Authorization", authorization)
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code


@check
def the_token_opens_the_data_plane(registry):
    data = registry.ecr.get_authorization_token()["authorizationData"]
    assert len(data) == 1, data
    token, ends, endpoint = data[0]["authorizationToken"], data[0]["expiresAt"], data[0]["proxyEndpoint"]
    user, _, password = base64.b64decode(token).decode().partition(":")
    assert user == "AWS" and password and ":" not in password
    left = ends - datetime.datetime.now(datetime.timezone.utc)
    assert datetime.timedelta(hours=11) < left <= datetime.timedelta(hours=12), left
    assert endpoint == registry.endpoint, endpoint
    assert registry.status("/v2/", f"Basic {token}") == 200
    assert registry.status("/v2/", f"Basic {token[:-8]}") == 401
    assert registry.status("/v2/") == 401


@check
def a_repository_is_described_as_it_was_made(registry):
    name = registry.name()
    filters = [{"filterType": "WILDCARD", "filter": "dev-*"}]
    made = registry.make(
        name,
        imageTagMutability="IMMUTABLE_WITH_EXCLUSION",
        imageTagMutabilityExclusionFilters=filters,
        imageScanningConfiguration={"scanOnPush": True},
        tags=[{"Key": "team", "Value": "a"}],
    )
    assert made["repositoryName"] == name
    assert made["repositoryUri"] == registry.endpoint.split("://")[1] + "/" + name
    assert made["repositoryArn"].endswith(f":{made['registryId']}:repository/{name}"), made["repositoryArn"]
    assert made["imageTagMutability"] == "IMMUTABLE_WITH_EXCLUSION"
    assert made["imageTagMutabilityExclusionFilters"] == filters
    assert made["imageScanningConfiguration"] == {"scanOnPush": True}
    assert made["encryptionConfiguration"] == {"encryptionType": "AES256"}
    assert registry.ecr.describe_repositories(repositoryNames=[name])["repositories"] == [made]
    tags = registry.ecr.list_tags_for_resource(resourceArn=made["repositoryArn"])["tags"]
    assert tags == [{"Key": "team", "Value": "a"}]
    again = fault("RepositoryAlreadyExistsException", registry.ecr.create_repository, repositoryName=name)
    assert name in again


@check
def names_and_limits(registry):
    for bad in ["UPPER", "a//b", "-a", "a b", "../a", "a" * 257]:
        fault("InvalidParameterException", registry.ecr.create_repository, repositoryName=bad)
    fault("InvalidParameterException", registry.ecr.describe_repositories, maxResults=1001)
    fault(
        "InvalidParameterException",
        registry.ecr.create_repository,
        repositoryName=registry.name(),
        imageTagMutability="SOMETIMES",
    )
    fault("InvalidTagParameterException", registry.ecr.create_repository, repositoryName=registry.name(), tags=[
        {"Key": "aws:x", "Value": "y"}
    ])
    arn = registry.make()["repositoryArn"]
    many = [{"Key": f"k{n}", "Value": ""} for n in range(50)]
    registry.ecr.tag_resource(resourceArn=arn, tags=many)
    fault("TooManyTagsException", registry.ecr.tag_resource, resourceArn=arn, tags=[{"Key": "one-more", "Value": ""}])


@check
def repositories_are_listed_by_pages(registry):
    prefix = f"page-{secrets.token_hex(4)}"
    names = sorted(f"{prefix}/{n:02}" for n in range(25))
    for name in names:
        registry.make(name)
    pages = registry.ecr.get_paginator("describe_repositories").paginate(PaginationConfig={"PageSize": 7})
    found = [one["repositoryName"] for page in pages for one in page["repositories"]]
    assert found == sorted(set(found)), "twice, or out of order"
    assert [name for name in found if name.startswith(prefix)] == names
    fault("InvalidParameterException", registry.ecr.describe_repositories, nextToken="made-up")
    fault("RepositoryNotFoundException", registry.ecr.describe_repositories, repositoryNames=[names[0], "absent/x"])


@check
def repositories_are_removed(registry):
    name = registry.make()["repositoryName"]
    put(registry, name)
    fault("RepositoryNotEmptyException", registry.ecr.delete_repository, repositoryName=name)
    assert registry.ecr.delete_repository(repositoryName=name, force=True)["repository"]["repositoryName"] == name
    fault("RepositoryNotFoundException", registry.ecr.delete_repository, repositoryName=name)
    registry.make(name)
    assert registry.ecr.list_images(repositoryName=name)["imageIds"] == []


@check
def resource_tags(registry):
    arn = registry.make()["repositoryArn"]
    registry.ecr.tag_resource(resourceArn=arn, tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    registry.ecr.tag_resource(resourceArn=arn, tags=[{"Key": "a", "Value": "3"}])
    registry.ecr.untag_resource(resourceArn=arn, tagKeys=["b", "absent"])
    assert registry.ecr.list_tags_for_resource(resourceArn=arn)["tags"] == [{"Key": "a", "Value": "3"}]
    absent = arn.rsplit("/", 1)[0] + "/absent"
    fault("RepositoryNotFoundException", registry.ecr.list_tags_for_resource, resourceArn=absent)


@check
def tag_mutability(registry):
    name = registry.make()["repositoryName"]
    put(registry, name, "one", "latest")
    put(registry, name, "two", "latest")
    answer = registry.ecr.put_image_tag_mutability(
        repositoryName=name,
        imageTagMutability="IMMUTABLE_WITH_EXCLUSION",
        imageTagMutabilityExclusionFilters=[{"filterType": "WILDCARD", "filter": "dev*"}],
    )
    assert answer["imageTagMutability"] == "IMMUTABLE_WITH_EXCLUSION"
    for tag in ["v1", "dev1"]:
        put(registry, name, "one", tag)
    put(registry, name, "two", "dev1")
    try:
        put(registry, name, "two", "v1")
    except registry.ecr.exceptions.ImageTagAlreadyExistsException as error:
        assert "v1" in str(error)
    else:
        raise AssertionError("an immutable tag was moved")
    registry.ecr.put_image_scanning_configuration(repositoryName=name, imageScanningConfiguration={"scanOnPush": True})
    described = registry.ecr.describe_repositories(repositoryNames=[name])["repositories"][0]
    assert described["imageScanningConfiguration"] == {"scanOnPush": True}


@check
def repository_policies(registry):
    name = registry.make()["repositoryName"]
    put(registry, name, "public", "latest")
    assert registry.status(f"/v2/{name}/manifests/latest") == 401
    fault("RepositoryPolicyNotFoundException", registry.ecr.get_repository_policy, repositoryName=name)
    text = json.dumps(EVERYBODY_PULLS)
    registry.ecr.set_repository_policy(repositoryName=name, policyText=text)
    assert registry.ecr.get_repository_policy(repositoryName=name)["policyText"] == text
    assert registry.status(f"/v2/{name}/manifests/latest") == 200
    assert registry.status(f"/v2/{name}/tags/list") == 401
    registry.ecr.delete_repository_policy(repositoryName=name)
    assert registry.status(f"/v2/{name}/manifests/latest") == 401
    for wrong, said in [
        ("{", "line 1"),
        ('{"Version":"2012-10-17"}', "Statement"),
        ('{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:*"}]}', "/Statement/0"),
        ('{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject"}]}', "s3"),
    ]:
        message = fault(
            "InvalidParameterException", registry.ecr.set_repository_policy, repositoryName=name, policyText=wrong
        )
        assert said in message, message


@check
def a_policy_does_not_lock_its_author_out(registry):
    name = registry.make()["repositoryName"]
    deny = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "ecr:SetRepositoryPolicy"}]}
    fault(
        "InvalidParameterException",
        registry.ecr.set_repository_policy,
        repositoryName=name,
        policyText=json.dumps(deny),
    )
    registry.ecr.set_repository_policy(repositoryName=name, policyText=json.dumps(deny), force=True)
    # Whoever has Administrator finds the way back, whatever the policy says.
    registry.ecr.delete_repository_policy(repositoryName=name)
    fault("RepositoryPolicyNotFoundException", registry.ecr.get_repository_policy, repositoryName=name)


@check
def the_registry_policy(registry):
    name = registry.make()["repositoryName"]
    put(registry, name, "public", "latest")
    arn = registry.ecr.describe_repositories(repositoryNames=[name])["repositories"][0]["repositoryArn"]
    statement = {**EVERYBODY_PULLS["Statement"][0], "Resource": arn}
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    registry.ecr.put_registry_policy(policyText=text)
    try:
        assert registry.ecr.get_registry_policy()["policyText"] == text
        assert registry.status(f"/v2/{name}/manifests/latest") == 200
    finally:
        registry.ecr.delete_registry_policy()
    assert registry.status(f"/v2/{name}/manifests/latest") == 401
    fault("RegistryPolicyNotFoundException", registry.ecr.get_registry_policy)
    fault("InvalidParameterException", registry.ecr.put_registry_policy, policyText="{}")


@check
def settings_and_exclusions(registry):
    described = registry.ecr.describe_registry()
    assert described["replicationConfiguration"] == {"rules": []}
    was = registry.ecr.get_account_setting(name="BLOB_MOUNTING")["value"]
    assert was in ("ENABLED", "DISABLED")
    try:
        for value in ("DISABLED", "ENABLED"):
            registry.ecr.put_account_setting(name="BLOB_MOUNTING", value=value)
            assert registry.ecr.get_account_setting(name="BLOB_MOUNTING")["value"] == value
    finally:
        registry.ecr.put_account_setting(name="BLOB_MOUNTING", value=was)
    fault("InvalidParameterException", registry.ecr.put_account_setting, name="BLOB_MOUNTING", value="MAYBE")
    arn = f"arn:aws:iam::{described['registryId']}:role/scanner-{secrets.token_hex(4)}"
    registry.ecr.register_pull_time_update_exclusion(principalArn=arn)
    fault("ExclusionAlreadyExistsException", registry.ecr.register_pull_time_update_exclusion, principalArn=arn)
    assert arn in registry.ecr.list_pull_time_update_exclusions()["pullTimeUpdateExclusions"]
    registry.ecr.deregister_pull_time_update_exclusion(principalArn=arn)
    fault("ExclusionNotFoundException", registry.ecr.deregister_pull_time_update_exclusion, principalArn=arn)


@check
def what_a_later_version_does(registry):
    name = registry.make()["repositoryName"]
    fault("LifecyclePolicyNotFoundException", registry.ecr.get_lifecycle_policy, repositoryName=name)
    fault("RepositoryNotFoundException", registry.ecr.get_lifecycle_policy, repositoryName="absent/x")
    fault("SigningConfigurationNotFoundException", registry.ecr.get_signing_configuration)
    assert registry.ecr.put_replication_configuration(replicationConfiguration={"rules": []})["replicationConfiguration"] == {"rules": []}
    destination = {"destinations": [{"region": "eu-central-1", "registryId": "111122223333"}]}
    fault("UnsupportedOperationException", registry.ecr.put_replication_configuration,
          replicationConfiguration={"rules": [destination]})
    scanning = registry.ecr.get_registry_scanning_configuration()
    assert scanning["scanningConfiguration"] == {"scanType": "BASIC", "rules": []}, scanning
    assert registry.ecr.list_replication_backfills()["backfills"] == []
    each = registry.ecr.batch_get_repository_scanning_configuration(repositoryNames=[name, "absent/x"])
    assert [(one["repositoryName"], one["scanFrequency"]) for one in each["scanningConfigurations"]] == [(name, "MANUAL")]
    assert [one["failureCode"] for one in each["failures"]] == ["REPOSITORY_NOT_FOUND"]
    put(registry, name)
    image = {"repositoryName": name, "imageId": {"imageTag": "latest"}}
    assert registry.ecr.describe_image_replication_status(**image)["replicationStatuses"] == []
    assert registry.ecr.describe_image_signing_status(**image)["signingStatuses"] == []
    fault("ScanNotFoundException", registry.ecr.describe_image_scan_findings, **image)
    image["imageId"] = {"imageTag": "absent"}
    fault("ImageNotFoundException", registry.ecr.describe_image_scan_findings, **image)


@check
def another_registry_is_not_here(registry):
    fault("RepositoryNotFoundException", registry.ecr.list_images, repositoryName="a/b", registryId="999999999999")
    fault("InvalidParameterException", registry.ecr.describe_repositories, registryId="999999999999")


def put(registry, name, label="one", tag="latest"):
    """A manifest without layers."""
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [],
        "annotations": {"label": label},
    }
    return registry.ecr.put_image(repositoryName=name, imageManifest=json.dumps(manifest), imageTag=tag)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--endpoint", required=True, help="such as http://127.0.0.1:5000")
    wanted = parser.parse_args()
    endpoint = wanted.endpoint.rstrip("/")
    ecr = boto3.client("ecr", endpoint_url=endpoint, config=Config(retries={"total_max_attempts": 1}))
    registry = Registry(ecr, endpoint)
    failed = 0
    for function in CHECKS:
        try:
            function(registry)
            print(f"passed  {function.__name__.replace('_', ' ')}")
        except Exception:
            failed += 1
            print(f"FAILED  {function.__name__.replace('_', ' ')}\n{traceback.format_exc()}")
        finally:
            registry.clean()
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
