"""Pull-through cache rules and repository creation templates of ECR's API, against a running registry.

Standard library and boto3. Keys come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; they need every right. Everything
that is made has a random name and is removed again. What cannot be checked with the given options is said.
"""

import argparse
import hashlib
import json
import os
import secrets
import socket
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

MAX_RULES = 50
POLICY = json.dumps({"Version": "2012-10-17", "Statement": [
    {"Sid": "pull", "Effect": "Allow", "Principal": {"AWS": "*"}, "Action": ["ecr:BatchGetImage"]}]})
LIFECYCLE = json.dumps({"rules": [{"rulePriority": 1, "description": "keep thirty images, whatever they are called",
                                   "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 30},
                                   "action": {"type": "expire"}}]})
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"


class Failed(Exception):
    pass


def same(what, expected, found):
    if expected != found:
        raise Failed(f"{what}: expected {expected!r}, found {found!r}")


def true(what, holds):
    if not holds:
        raise Failed(what)


def refused(code, call, says=None, **arguments):
    """The call must fail with this exception, and its message hold `says`."""
    try:
        answer = call(**arguments)
    except ClientError as error:
        same("exception", code, error.response["Error"]["Code"])
        message = error.response["Error"]["Message"]
        true(f"the message {message!r} does not say {says!r}", says is None or says in message)
        return error
    raise Failed(f"expected {code}, but the call succeeded: {without_metadata(answer)}")


def without_metadata(answer):
    return {key: value for key, value in answer.items() if key != "ResponseMetadata"}


class Checks:
    """Each method whose name begins with `check_` is one, in the order in which they stand here."""

    def __init__(self, options):
        self.options = options
        self.suffix = secrets.token_hex(3)
        self.ecr = boto3.client("ecr", endpoint_url=options.endpoint, region_name=options.region,
                                config=Config(retries={"max_attempts": 0}, read_timeout=30))
        token = self.ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
        self.login = {"Authorization": f"Basic {token}"}
        self.rules, self.templates, self.repositories, self.files = [], [], [], []
        self.account = self.ecr.describe_registry()["registryId"]
        self.before = self.all_rules()
        self.declared = [rule for rule in self.before if self.is_declared(rule["ecrRepositoryPrefix"])]

    # --- what the checks share ---

    def is_declared(self, prefix):
        try:
            self.ecr.update_pull_through_cache_rule(ecrRepositoryPrefix=prefix)
        except ClientError as error:
            return "configuration" in error.response["Error"]["Message"]
        return False

    def rule(self, prefix, url="registry.invalid", **more):
        answer = self.ecr.create_pull_through_cache_rule(ecrRepositoryPrefix=prefix, upstreamRegistryUrl=url, **more)
        self.rules.append(prefix)
        return without_metadata(answer)

    def drop_rule(self, prefix):
        self.rules.remove(prefix)
        return without_metadata(self.ecr.delete_pull_through_cache_rule(ecrRepositoryPrefix=prefix))

    def all_rules(self, **more):
        pages = self.ecr.get_paginator("describe_pull_through_cache_rules").paginate(**more)
        return [rule for page in pages for rule in page["pullThroughCacheRules"]]

    def template(self, prefix, **more):
        more.setdefault("appliedFor", ["CREATE_ON_PUSH"])
        answer = self.ecr.create_repository_creation_template(prefix=prefix, **more)
        self.templates.append(prefix)
        same("registryId", self.account, answer["registryId"])
        return answer["repositoryCreationTemplate"]

    def drop_template(self, prefix):
        self.templates.remove(prefix)
        return self.ecr.delete_repository_creation_template(prefix=prefix)["repositoryCreationTemplate"]

    def secret(self, name, text):
        folder = os.path.join(self.options.secrets, "ecr-pullthroughcache")
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, f"{name}.json")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        self.files.append(path)
        return self.arn(f"{name}-Ab12Cd")

    def arn(self, name):
        return f"arn:aws:secretsmanager:{self.options.region}:{self.account}:secret:ecr-pullthroughcache/{name}"

    def request(self, method, path, body=None, **headers):
        url = urllib.parse.urljoin(self.options.endpoint, path)
        headers = {key.replace("_", "-"): value for key, value in headers.items()}
        request = urllib.request.Request(url, data=body, method=method, headers={**self.login, **headers})
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, dict(response.headers), response.read()
        except urllib.error.HTTPError as error:
            return error.code, dict(error.headers), error.read()

    def push(self, repository):
        """Pushes an image of nothing as `latest`, and returns the first status that is not success, or 201."""
        blob = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}).encode()
        digest = "sha256:" + hashlib.sha256(blob).hexdigest()
        status, _, _ = self.request("POST", f"/v2/{repository}/blobs/uploads/?digest={digest}", blob,
                                    Content_Type="application/octet-stream")
        if status != 201:
            return status
        self.repositories.append(repository)
        manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "layers": [],
                               "config": {"mediaType": CONFIG_TYPE, "digest": digest, "size": len(blob)}}).encode()
        return self.request("PUT", f"/v2/{repository}/manifests/latest", manifest, Content_Type=MANIFEST_TYPE)[0]

    def described(self, repository):
        return self.ecr.describe_repositories(repositoryNames=[repository])["repositories"][0]

    # --- rules ---

    def check_create_answers_what_was_asked(self):
        prefix = f"r-{self.suffix}"
        rule = self.rule(prefix, "registry-1.docker.io")
        same("prefix", prefix, rule["ecrRepositoryPrefix"])
        same("url", "registry-1.docker.io", rule["upstreamRegistryUrl"])
        same("registry", self.account, rule["registryId"])
        same("kind", "docker-hub", rule["upstreamRegistry"])
        same("upstream prefix", "ROOT", rule["upstreamRepositoryPrefix"])
        true("no createdAt", rule["createdAt"].year >= 2024)
        true("an updatedAt", "updatedAt" not in rule)

    def check_any_host_is_allowed_and_a_kind_can_be_named(self):
        prefix = f"h-{self.suffix}"
        rule = self.rule(prefix, "harbor.invalid:8443", upstreamRegistry="quay", upstreamRepositoryPrefix="proxy/hub",
                         customRoleArn="arn:aws:iam::012345678901:role/puller", registryId=self.account)
        same("kind", "quay", rule["upstreamRegistry"])
        same("upstream prefix", "proxy/hub", rule["upstreamRepositoryPrefix"])
        same("role", "arn:aws:iam::012345678901:role/puller", rule["customRoleArn"])
        true("a kind of an unknown host", "upstreamRegistry" not in self.rule(f"i-{self.suffix}", "other.invalid"))

    def check_describe_shows_it_by_name(self):
        prefix = f"r-{self.suffix}"
        answer = self.ecr.describe_pull_through_cache_rules(ecrRepositoryPrefixes=[prefix])
        same("prefixes", [prefix], [rule["ecrRepositoryPrefix"] for rule in answer["pullThroughCacheRules"]])
        same("updatedAt", answer["pullThroughCacheRules"][0]["createdAt"], answer["pullThroughCacheRules"][0]["updatedAt"])
        true("a token", "nextToken" not in answer)

    def check_list_holds_declared_ones_and_rules_in_order(self):
        prefixes = [rule["ecrRepositoryPrefix"] for rule in self.all_rules()]
        same("order", sorted(prefixes), prefixes)
        for rule in self.declared:
            true(f"{rule['ecrRepositoryPrefix']} is missing", rule["ecrRepositoryPrefix"] in prefixes)
        same("count", len(self.before) + len(self.rules), len(prefixes))

    def check_list_comes_in_pages(self):
        whole, pages, token = self.all_rules(), [], {}
        while True:
            answer = self.ecr.describe_pull_through_cache_rules(maxResults=1, **token)
            same("entries of a page", 1, len(answer["pullThroughCacheRules"]))
            pages += answer["pullThroughCacheRules"]
            if "nextToken" not in answer:
                break
            token = {"nextToken": answer["nextToken"]}
        same("pages", whole, pages)

    def check_bad_pages_are_refused(self):
        call = self.ecr.describe_pull_through_cache_rules
        refused("InvalidParameterException", call, "nextToken", nextToken="nonsense")
        refused("InvalidParameterException", call, "1000", maxResults=1001)
        refused("InvalidParameterException", call, "maxResults", maxResults=1, ecrRepositoryPrefixes=["ab"])
        refused("PullThroughCacheRuleNotFoundException", call, ecrRepositoryPrefixes=[f"none-{self.suffix}"])

    def check_one_rule_a_prefix(self):
        for prefix in (f"r-{self.suffix}", f"r-{self.suffix}/"):
            refused("PullThroughCacheRuleAlreadyExistsException", self.ecr.create_pull_through_cache_rule,
                    ecrRepositoryPrefix=prefix, upstreamRegistryUrl="quay.io")

    def check_malformed_rules_are_refused(self):
        call, good = self.ecr.create_pull_through_cache_rule, f"bad-{self.suffix}"
        for prefix in ("Upper", "a" * 31, "-a", "a//b"):
            refused("InvalidParameterException", call, "ecrRepositoryPrefix", ecrRepositoryPrefix=prefix,
                    upstreamRegistryUrl="quay.io")
        for url in ("http://quay.io", "not a host", "https://me:secret@quay.io"):
            refused("UnsupportedUpstreamRegistryException", call, ecrRepositoryPrefix=good, upstreamRegistryUrl=url)
        refused("InvalidParameterException", call, "upstreamRegistry", ecrRepositoryPrefix=good,
                upstreamRegistryUrl="quay.io", upstreamRegistry="k8s")
        refused("InvalidParameterException", call, "upstreamRegistry", ecrRepositoryPrefix=good,
                upstreamRegistryUrl="quay.io", upstreamRegistry="harbor")
        refused("InvalidParameterException", call, "credentialArn", ecrRepositoryPrefix=good,
                upstreamRegistryUrl="quay.io",
                credentialArn="arn:aws:secretsmanager:eu-west-1:012345678901:secret:other/quay-Ab12Cd")
        refused("InvalidParameterException", call, "upstreamRepositoryPrefix", ecrRepositoryPrefix="ROOT",
                upstreamRegistryUrl="quay.io", upstreamRepositoryPrefix="library")
        refused("InvalidParameterException", call, "registryId", ecrRepositoryPrefix=good,
                upstreamRegistryUrl="quay.io", registryId="999999999999")
        refused("ValidationException", call, "ROOT", ecrRepositoryPrefix="root", upstreamRegistryUrl="quay.io")

    def check_a_rule_does_not_hide_what_was_pushed(self):
        repository = f"own-{self.suffix}/app"
        self.ecr.create_repository(repositoryName=repository)
        self.repositories.append(repository)
        for prefix in (f"own-{self.suffix}", f"own-{self.suffix}/", repository):
            refused("ValidationException", self.ecr.create_pull_through_cache_rule, repository,
                    ecrRepositoryPrefix=prefix, upstreamRegistryUrl="quay.io")
        self.rule(f"own-{self.suffix}/ap")
        self.drop_rule(f"own-{self.suffix}/ap")

    def check_declared_ones_are_read_only(self):
        if not self.declared:
            return "skipped: the configuration has no upstream"
        for rule in self.declared:
            prefix = rule["ecrRepositoryPrefix"]
            refused("PullThroughCacheRuleAlreadyExistsException", self.ecr.create_pull_through_cache_rule,
                    ecrRepositoryPrefix=prefix, upstreamRegistryUrl="quay.io")
            refused("ValidationException", self.ecr.delete_pull_through_cache_rule, "configuration",
                    ecrRepositoryPrefix=prefix)
            refused("ValidationException", self.ecr.update_pull_through_cache_rule, ecrRepositoryPrefix=prefix,
                    customRoleArn="arn:aws:iam::012345678901:role/puller")
        return None

    def check_update_changes_role(self):
        prefix, role = f"r-{self.suffix}", "arn:aws:iam::012345678901:role/other"
        answer = self.ecr.update_pull_through_cache_rule(ecrRepositoryPrefix=prefix, customRoleArn=role)
        same("role", role, answer["customRoleArn"])
        same("upstream prefix", "ROOT", answer["upstreamRepositoryPrefix"])
        rule = self.ecr.describe_pull_through_cache_rules(ecrRepositoryPrefixes=[prefix])["pullThroughCacheRules"][0]
        same("role in the list", role, rule["customRoleArn"])
        same("updatedAt", answer["updatedAt"], rule["updatedAt"])
        true("createdAt moved", rule["createdAt"] < rule["updatedAt"])
        refused("ValidationException", self.ecr.update_pull_through_cache_rule, ecrRepositoryPrefix=prefix)

    def check_what_is_not_there(self):
        prefix = f"none-{self.suffix}"
        refused("PullThroughCacheRuleNotFoundException", self.ecr.update_pull_through_cache_rule,
                ecrRepositoryPrefix=prefix, customRoleArn="arn:aws:iam::012345678901:role/x")
        refused("PullThroughCacheRuleNotFoundException", self.ecr.delete_pull_through_cache_rule,
                ecrRepositoryPrefix=prefix)
        refused("PullThroughCacheRuleNotFoundException", self.ecr.validate_pull_through_cache_rule,
                ecrRepositoryPrefix=prefix)

    def check_secrets_that_are_missing_or_wrong(self):
        prefix, call = f"s-{self.suffix}", self.ecr.create_pull_through_cache_rule
        base = {"ecrRepositoryPrefix": prefix, "upstreamRegistryUrl": "registry.invalid"}
        refused("SecretNotFoundException", call, credentialArn=self.arn(f"absent-{self.suffix}-Ab12Cd"), **base)
        refused("SecretNotFoundException", call, credentialArn=self.arn(f"../../{self.suffix}-Ab12Cd"), **base)
        if not self.options.secrets:
            return "the rest is skipped: --secrets is not given"
        wrong = self.secret(f"wrong-{self.suffix}", '{"username": "u"}')
        refused("UnableToDecryptSecretValueException", call, credentialArn=wrong, **base)
        folder = os.path.join(self.options.secrets, "ecr-pullthroughcache", f"folder-{self.suffix}.json")
        os.makedirs(folder)
        self.files.append(folder)
        refused("UnableToAccessSecretException", call, credentialArn=self.arn(f"folder-{self.suffix}-Ab12Cd"), **base)
        elsewhere = self.secret(f"elsewhere-{self.suffix}", '{"username": "u", "accessToken": "t", "registry": "other.invalid"}')
        refused("UnableToAccessSecretException", call, credentialArn=elsewhere, **base)
        good = self.secret(f"good-{self.suffix}", '{"username": "u", "accessToken": "t", "registry": "registry.invalid"}')
        same("arn", good, self.rule(prefix, credentialArn=good)["credentialArn"])
        refused("SecretNotFoundException", self.ecr.update_pull_through_cache_rule, ecrRepositoryPrefix=prefix,
                credentialArn=self.arn(f"absent-{self.suffix}-Ab12Cd"))
        bare = self.arn(f"good-{self.suffix}")
        same("arn without a suffix", bare, self.ecr.update_pull_through_cache_rule(
            ecrRepositoryPrefix=prefix, credentialArn=bare)["credentialArn"])
        os.remove(self.files.pop())
        answer = self.ecr.validate_pull_through_cache_rule(ecrRepositoryPrefix=prefix)
        same("valid without its secret", False, answer["isValid"])
        true(f"the failure {answer['failure']!r} names no secret", "secret" in answer["failure"])
        return None

    def check_validate_tells_why_not(self):
        prefix = f"h-{self.suffix}"
        answer = self.ecr.validate_pull_through_cache_rule(ecrRepositoryPrefix=prefix)
        same("valid", False, answer["isValid"])
        true("no failure", "harbor.invalid:8443" in answer["failure"])
        same("prefix", prefix, answer["ecrRepositoryPrefix"])
        same("url", "harbor.invalid:8443", answer["upstreamRegistryUrl"])
        same("upstream prefix", "proxy/hub", answer["upstreamRepositoryPrefix"])

    def check_the_names_below_a_rule_are_the_upstreams(self):
        """A push is refused, and a pull is what the upstream says: this one does not exist."""
        repository = f"h-{self.suffix}/app"
        same("status of a push", 405, self.push(repository))
        status, _, body = self.request("GET", f"/v2/{repository}/manifests/latest")
        true(f"status of a pull: {status} {body!r}", status in (502, 503, 504))
        refused("InvalidParameterException", self.ecr.create_repository, "upstream", repositoryName=repository)
        answer = self.ecr.batch_get_image(repositoryName=repository, imageIds=[{"imageTag": "latest"}])
        same("codes", ["UpstreamUnavailable"], [failure["failureCode"] for failure in answer["failures"]])
        refused("RepositoryNotFoundException", self.ecr.describe_images, repositoryName=repository)

    def check_delete_answers_the_rule_and_ends_it(self):
        prefix = f"h-{self.suffix}"
        rule = self.drop_rule(prefix)
        same("prefix", prefix, rule["ecrRepositoryPrefix"])
        same("url", "harbor.invalid:8443", rule["upstreamRegistryUrl"])
        same("upstream prefix", "proxy/hub", rule["upstreamRepositoryPrefix"])
        true("no createdAt", "createdAt" in rule)
        refused("PullThroughCacheRuleNotFoundException", self.ecr.describe_pull_through_cache_rules,
                ecrRepositoryPrefixes=[prefix])
        status, _, _ = self.request("GET", f"/v2/{prefix}/app/manifests/latest")
        true(f"a pull still goes to the upstream: {status}", status == 404 or self.has_default())

    def has_default(self):
        return any(rule["ecrRepositoryPrefix"] in ("ROOT", "docker.io") for rule in self.all_rules())

    def check_root_is_the_default_upstream(self):
        repository = f"anything-{self.suffix}"
        try:
            rule = self.rule("ROOT")
        except ClientError as error:
            message = error.response["Error"]["Message"]
            true(f"refused for another reason: {message}", "default" in message)
            return "the configuration has a default, so it was refused"
        same("prefix", "ROOT", rule["ecrRepositoryPrefix"])
        same("first of the list", "ROOT", self.all_rules()[0]["ecrRepositoryPrefix"])
        true("a pull of any name", self.request("GET", f"/v2/{repository}/manifests/latest")[0] != 200)
        if self.creates():
            same("status of a push", 201, self.push(f"mine-{self.suffix}"))
        self.drop_rule("ROOT")
        same("status without it", 404, self.request("GET", f"/v2/{repository}/manifests/latest")[0])
        return None

    def check_there_are_so_many_rules_and_no_more(self):
        others = len(self.before) - len(self.declared)
        for number in range(MAX_RULES - others - len(self.rules)):
            self.rule(f"n{number}-{self.suffix}")
        refused("LimitExceededException", self.ecr.create_pull_through_cache_rule,
                ecrRepositoryPrefix=f"more-{self.suffix}", upstreamRegistryUrl="quay.io")
        same("in pages of 7", MAX_RULES + len(self.declared), len(self.all_rules(PaginationConfig={"PageSize": 7})))
        for prefix in [prefix for prefix in self.rules if prefix.startswith("n")]:
            self.drop_rule(prefix)

    def check_a_rule_pulls_through(self):
        if not self.options.upstream:
            return "skipped: --upstream is not given"
        host, _, port = self.options.upstream.rpartition(":")
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection((host, int(port)), 5) as plain:
            try:
                context.wrap_socket(plain, server_hostname=host).close()
            except (ssl.SSLError, ConnectionError):
                return f"skipped: {self.options.upstream} has no TLS, which a rule needs"
        base = f"https://{self.options.upstream}/v2"

        def upstream(path, accept="*/*"):
            request = urllib.request.Request(f"{base}/{path}", headers={"Accept": accept})
            return urllib.request.urlopen(request, timeout=10, context=context).read()

        repository = next(name for name in json.loads(upstream("_catalog"))["repositories"] if "/" in name)
        tag = json.loads(upstream(f"{repository}/tags/list"))["tags"][0]
        manifest = upstream(f"{repository}/manifests/{tag}", MANIFEST_TYPE)
        first, rest = repository.split("/", 1)
        for prefix, name, more in ((f"u-{self.suffix}", repository, {}),
                                   (f"v-{self.suffix}/x", rest, {"upstreamRepositoryPrefix": first})):
            self.rule(prefix, self.options.upstream, **more)
            answer = self.ecr.validate_pull_through_cache_rule(ecrRepositoryPrefix=prefix)
            true(f"not valid: {answer.get('failure')}", answer["isValid"] and "failure" not in answer)
            status, _, found = self.request("GET", f"/v2/{prefix}/{name}/manifests/{tag}", Accept=MANIFEST_TYPE)
            same(f"{prefix}/{name}", (200, manifest), (status, found))
            blob = json.loads(manifest)["config"]["digest"]
            status, _, found = self.request("GET", f"/v2/{prefix}/{name}/blobs/{blob}")
            same("its config", (200, blob), (status, "sha256:" + hashlib.sha256(found).hexdigest()))
            self.ecr.delete_repository(repositoryName=f"{prefix}/{name}", force=True)
            answer = self.ecr.batch_get_image(repositoryName=f"{prefix}/{name}", imageIds=[{"imageTag": tag}])
            same("by the API", [manifest.decode()], [image["imageManifest"] for image in answer["images"]])
            self.ecr.delete_repository(repositoryName=f"{prefix}/{name}", force=True)
            self.drop_rule(prefix)
        return None

    def check_a_rule_logs_in(self):
        """A wrong secret makes a rule that is not valid; the right one in its place makes the same rule valid."""
        if not (self.options.locked and self.options.secrets):
            return "skipped: --locked and --secrets are not given"
        prefix, upstream = f"l-{self.suffix}", self.options.locked.rpartition("@")[2]
        username, _, password = self.options.locked.rpartition("@")[0].partition(":")
        arn = self.secret(f"l-{self.suffix}", json.dumps({"username": username, "accessToken": password + "x"}))
        self.rule(prefix, upstream, credentialArn=arn)
        answer = self.ecr.validate_pull_through_cache_rule(ecrRepositoryPrefix=prefix)
        same("valid with a wrong password", False, answer["isValid"])
        same("arn", arn, answer["credentialArn"])
        self.secret(f"l-{self.suffix}", json.dumps({"username": username, "accessToken": password}))
        self.files.pop()
        answer = self.ecr.validate_pull_through_cache_rule(ecrRepositoryPrefix=prefix)
        true(f"not valid: {answer.get('failure')}", answer["isValid"])
        status, _, body = self.request("GET", f"/v2/{prefix}/none/{self.suffix}/manifests/latest")
        true(f"the upstream was asked without the login: {status} {body!r}", status == 404)
        self.drop_rule(prefix)
        return None

    # --- templates ---

    def check_create_template(self):
        prefix = f"t-{self.suffix}"
        template = self.template(
            f"{prefix}/", description="about", appliedFor=["CREATE_ON_PUSH", "PULL_THROUGH_CACHE"],
            imageTagMutability="IMMUTABLE_WITH_EXCLUSION", encryptionConfiguration={"encryptionType": "AES256"},
            imageTagMutabilityExclusionFilters=[{"filterType": "WILDCARD", "filter": "dev-*"}],
            resourceTags=[{"Key": "team", "Value": "a"}], repositoryPolicy=POLICY, lifecyclePolicy=LIFECYCLE)
        same("prefix", f"{prefix}/", template["prefix"])
        same("description", "about", template["description"])
        same("applied for", {"CREATE_ON_PUSH", "PULL_THROUGH_CACHE"}, set(template["appliedFor"]))
        same("mutability", "IMMUTABLE_WITH_EXCLUSION", template["imageTagMutability"])
        same("filters", [{"filterType": "WILDCARD", "filter": "dev-*"}], template["imageTagMutabilityExclusionFilters"])
        same("tags", [{"Key": "team", "Value": "a"}], template["resourceTags"])
        same("policies", (POLICY, LIFECYCLE), (template["repositoryPolicy"], template["lifecyclePolicy"]))
        same("encryption", "AES256", template["encryptionConfiguration"]["encryptionType"])
        same("times", template["createdAt"], template["updatedAt"])
        found = self.ecr.describe_repository_creation_templates(prefixes=[prefix])["repositoryCreationTemplates"]
        same("described", [template], found)

    def check_one_template_a_prefix(self):
        refused("TemplateAlreadyExistsException", self.ecr.create_repository_creation_template,
                prefix=f"t-{self.suffix}", appliedFor=["REPLICATION"])

    def check_malformed_templates_are_refused(self):
        call, base = self.ecr.create_repository_creation_template, {"appliedFor": ["CREATE_ON_PUSH"]}
        prefix = f"bad-{self.suffix}"
        for wrong in ("Upper", "a//b", "a" * 257):
            refused("InvalidParameterException", call, "prefix", prefix=wrong, **base)
        refused("InvalidParameterException", call, "appliedFor", prefix=prefix, appliedFor=["PUSH"])
        refused("InvalidParameterException", call, "repositoryPolicy", prefix=prefix, repositoryPolicy="{}", **base)
        refused("InvalidParameterException", call, "lifecyclePolicy", prefix=prefix, lifecyclePolicy="x", **base)
        refused("InvalidParameterException", call, "encryptionConfiguration", prefix=prefix,
                encryptionConfiguration={"encryptionType": "KMS"}, **base)
        refused("InvalidParameterException", call, "description", prefix=prefix, description="x" * 257, **base)
        refused("InvalidParameterException", call, "Filters", prefix=prefix,
                imageTagMutability="IMMUTABLE_WITH_EXCLUSION", **base)

    def check_update_changes_only_what_is_said(self):
        prefix = f"t-{self.suffix}"
        answer = self.ecr.update_repository_creation_template(
            prefix=prefix, description="new", lifecyclePolicy="", appliedFor=["CREATE_ON_PUSH"])
        template = answer["repositoryCreationTemplate"]
        same("description", "new", template["description"])
        true("the lifecycle policy stays", "lifecyclePolicy" not in template)
        same("applied for", ["CREATE_ON_PUSH"], template["appliedFor"])
        same("what was not said", (POLICY, "IMMUTABLE_WITH_EXCLUSION"),
             (template["repositoryPolicy"], template["imageTagMutability"]))
        true("updatedAt", template["updatedAt"] > template["createdAt"])
        refused("InvalidParameterException", self.ecr.update_repository_creation_template, prefix=prefix,
                repositoryPolicy="[]")

    def check_templates_that_are_not_there(self):
        prefix = f"none-{self.suffix}"
        refused("TemplateNotFoundException", self.ecr.update_repository_creation_template, prefix=prefix)
        refused("TemplateNotFoundException", self.ecr.delete_repository_creation_template, prefix=prefix)

    def check_templates_come_in_pages(self):
        for letter in "abc":
            self.template(f"p{letter}-{self.suffix}")
        pages = self.ecr.get_paginator("describe_repository_creation_templates").paginate(
            PaginationConfig={"PageSize": 2})
        found = [template["prefix"] for page in pages for template in page["repositoryCreationTemplates"]]
        same("order", sorted(found), found)
        true("some are missing", set(self.templates) <= set(found))
        call = self.ecr.describe_repository_creation_templates
        refused("InvalidParameterException", call, "nextToken", nextToken="nonsense")
        refused("InvalidParameterException", call, "maxResults", maxResults=1, prefixes=[f"t-{self.suffix}"])
        for letter in "abc":
            self.drop_template(f"p{letter}-{self.suffix}")

    def creates(self):
        """Whether a push makes a repository without a template."""
        status = self.push(f"plain-{secrets.token_hex(3)}/app")
        true(f"status of a push without a template: {status}", status in (201, 404))
        return status == 201

    def check_a_push_takes_on_the_template(self):
        repository = f"t-{self.suffix}/deep/app"
        same("status of the push", 201, self.push(repository))
        made = self.described(repository)
        same("mutability", "IMMUTABLE_WITH_EXCLUSION", made["imageTagMutability"])
        same("filters", [{"filterType": "WILDCARD", "filter": "dev-*"}], made["imageTagMutabilityExclusionFilters"])
        tags = self.ecr.list_tags_for_resource(resourceArn=made["repositoryArn"])["tags"]
        same("tags", [{"Key": "team", "Value": "a"}], tags)
        same("policy", POLICY, self.ecr.get_repository_policy(repositoryName=repository)["policyText"])
        same("another tag of an immutable one", 201, self.push(f"t-{self.suffix}/deep/app"))

    def check_the_longest_prefix_for_a_push_counts(self):
        self.template(f"t-{self.suffix}/deep", imageTagMutability="MUTABLE")
        self.template(f"t-{self.suffix}/deep/er", appliedFor=["REPLICATION"], imageTagMutability="IMMUTABLE")
        for rest, expected in (("other", "IMMUTABLE_WITH_EXCLUSION"), ("deep/b", "MUTABLE"), ("deep/er/c", "MUTABLE")):
            repository = f"t-{self.suffix}/{rest}"
            same("status of the push", 201, self.push(repository))
            same(repository, expected, self.described(repository)["imageTagMutability"])

    def check_without_a_template_the_configuration_decides(self):
        return "create_on_push = true" if self.creates() else "create_on_push = false"

    def check_a_template_is_for_nothing_that_is_there(self):
        repository = f"t-{self.suffix}/deep/app"
        self.ecr.update_repository_creation_template(prefix=f"t-{self.suffix}/deep", imageTagMutability="IMMUTABLE")
        same("mutability", "IMMUTABLE_WITH_EXCLUSION", self.described(repository)["imageTagMutability"])

    def check_root_template(self):
        try:
            self.template("ROOT", imageTagMutability="IMMUTABLE")
        except ClientError as error:
            same("exception", "TemplateAlreadyExistsException", error.response["Error"]["Code"])
            return "skipped: there is one already"
        repository = f"any-{self.suffix}"
        same("status of the push", 201, self.push(repository))
        same("mutability", "IMMUTABLE", self.described(repository)["imageTagMutability"])
        same("deleted", "ROOT", self.drop_template("ROOT")["prefix"])
        return None

    def check_delete_template(self):
        prefix = f"t-{self.suffix}"
        template = self.ecr.delete_repository_creation_template(prefix=prefix)["repositoryCreationTemplate"]
        self.templates.remove(f"{prefix}/")
        same("prefix", f"{prefix}/", template["prefix"])
        same("description", "new", template["description"])
        refused("TemplateNotFoundException", self.ecr.delete_repository_creation_template, prefix=prefix)

    # --- the rest ---

    def clean_up(self):
        for prefix in self.rules:
            self.ecr.delete_pull_through_cache_rule(ecrRepositoryPrefix=prefix)
        for prefix in self.templates:
            self.ecr.delete_repository_creation_template(prefix=prefix)
        for repository in dict.fromkeys(self.repositories):
            self.ecr.delete_repository(repositoryName=repository, force=True)
        for path in self.files:
            os.rmdir(path) if os.path.isdir(path) else os.remove(path)

    def named(self):
        return [(name.removeprefix("check_").replace("_", " "), getattr(self, name))
                for name in type(self).__dict__ if name.startswith("check_")]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--endpoint", required=True, help="URL of the registry")
    parser.add_argument("--region", default="local")
    parser.add_argument("--upstream", help="HOST:PORT of a registry that anyone may read, with an image in it")
    parser.add_argument("--secrets", help="the folder `secrets` of the registry's data, where it can be written")
    parser.add_argument("--locked", help="USER:PASSWORD@HOST:PORT of a registry with TLS that wants a login")
    checks = Checks(parser.parse_args())
    passed = failed = 0
    try:
        for name, check in checks.named():
            try:
                note = check()
                passed += 1
                print(f"ok    {name}" + (f" ({note})" if note else ""))
            except (Failed, ClientError, OSError, LookupError) as error:
                failed += 1
                print(f"FAIL  {name}: {error!r}")
    finally:
        checks.clean_up()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
