#!/usr/bin/env python3
"""Users, roles, keys, policies and sessions through the APIs of IAM and STS, as boto3 and the AWS CLI ask for them.

Needs a registry at `--endpoint`, and an access key of someone who may do everything (Administrator) in AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY. With `--issuer-port PORT` the registry must believe http://127.0.0.1:PORT for the audience `registry` and give the
role `ci` (FullAccess) to ID tokens whose claim `repository` begins with `team/`; this script is that issuer then. What is made gets names of its own and is
removed at the end. Checks whose client is not on this machine are left out, and said so.
"""

import argparse
import base64
import http.server
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import traceback

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from clients import LeftOut, Machine

AWS = os.path.join(os.path.dirname(sys.executable), "aws")
CHECKS = []
ACCOUNT = "000000000000"
ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ecr:*", "Resource": "*"}]}


def check(function):
    CHECKS.append(function)
    return function


def fault(expected, status, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        code, found = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
        assert (code, found) == (expected, status), f"{code} {found} where {expected} {status} was expected: {error}"
        return error
    raise AssertionError(f"no fault where {expected} was expected")


def trust(principal):
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def keys(credentials):
    """As boto3 takes what IAM or STS told."""
    return {
        "aws_access_key_id": credentials["AccessKeyId"],
        "aws_secret_access_key": credentials["SecretAccessKey"],
        "aws_session_token": credentials.get("SessionToken"),
    }


class Issuer:
    """An OpenID Connect provider with one key."""

    def __init__(self, port, folder):
        self.url, self.key = f"http://127.0.0.1:{port}", os.path.join(folder, "key.pem")
        if not shutil.which("openssl"):
            raise LeftOut("openssl is not on this machine")
        subprocess.run(["openssl", "genrsa", "-out", self.key, "2048"], check=True, capture_output=True)
        modulus = subprocess.run(["openssl", "rsa", "-in", self.key, "-noout", "-modulus"], check=True, capture_output=True, text=True)
        number = bytes.fromhex(modulus.stdout.strip().split("=")[1])
        key = {"kty": "RSA", "kid": "one", "alg": "RS256", "use": "sig", "n": self.text(number), "e": "AQAB"}
        documents = {
            "/.well-known/openid-configuration": {"issuer": self.url, "jwks_uri": self.url + "/keys"},
            "/keys": {"keys": [key]},
        }

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = json.dumps(documents.get(self.path, {})).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.HTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @staticmethod
    def text(content):
        return base64.urlsafe_b64encode(content).rstrip(b"=").decode()

    def token(self, **claims):
        now = int(time.time())
        claims = {"iss": self.url, "aud": "registry", "sub": "job-7", "repository": "team/app", "iat": now, "exp": now + 300, **claims}
        signed = ".".join(self.text(json.dumps(part).encode()) for part in ({"alg": "RS256", "kid": "one"}, claims))
        done = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.key], input=signed.encode(), check=True, capture_output=True)
        return f"{signed}.{self.text(done.stdout)}"


class Account:
    def __init__(self, endpoint, issuer_port):
        self.endpoint, self.issuer_port, self.users, self.roles = endpoint, issuer_port, [], []
        self.iam, self.sts = self.client("iam"), self.client("sts")

    def client(self, service, **of):
        config = Config(retries={"total_max_attempts": 1})
        return boto3.client(service, endpoint_url=self.endpoint, config=config, region_name="us-east-1", **of)

    def user(self, policy=None, with_key=True):
        name = f"check-{secrets.token_hex(4)}"
        self.iam.create_user(UserName=name)
        self.users.append(name)
        if policy:
            self.iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=json.dumps(policy))
        return name, keys(self.iam.create_access_key(UserName=name)["AccessKey"]) if with_key else None

    def role(self, principal, policy=ALL):
        name = f"check-{secrets.token_hex(4)}"
        arn = self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(principal))["Role"]["Arn"]
        self.roles.append(name)
        self.iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=json.dumps(policy))
        return name, arn

    def aws(self, *command, fails=False, **environment):
        with tempfile.TemporaryDirectory() as home:
            around = {**os.environ, "HOME": home, **environment}
            command = [AWS, "--endpoint-url", self.endpoint, "--output", "json", *command]
            done = subprocess.run(command, env=around, capture_output=True, text=True, timeout=120, check=False)
        said = f"{' '.join(command)}\n{done.stdout}{done.stderr}"
        assert (done.returncode != 0) == fails, said
        return said if fails else json.loads(done.stdout) if done.stdout.strip() else None

    def clean(self):
        for name in self.users:
            user = {"UserName": name}
            for key in self.iam.list_access_keys(**user)["AccessKeyMetadata"]:
                self.iam.delete_access_key(AccessKeyId=key["AccessKeyId"], **user)
            for policy in self.iam.list_user_policies(**user)["PolicyNames"]:
                self.iam.delete_user_policy(PolicyName=policy, **user)
            for policy in self.iam.list_attached_user_policies(**user)["AttachedPolicies"]:
                self.iam.detach_user_policy(PolicyArn=policy["PolicyArn"], **user)
            self.iam.delete_user(**user)
        for name in self.roles:
            for policy in self.iam.list_role_policies(RoleName=name)["PolicyNames"]:
                self.iam.delete_role_policy(RoleName=name, PolicyName=policy)
            self.iam.delete_role(RoleName=name)
        self.users, self.roles = [], []


@check
def who_am_i(account):
    me = account.sts.get_caller_identity()
    assert me["Account"] == ACCOUNT and me["Arn"].startswith(f"arn:aws:iam::{ACCOUNT}:user/"), me
    assert account.aws("sts", "get-caller-identity")["Arn"] == me["Arn"]
    assert account.iam.get_user()["User"]["Arn"] == me["Arn"]


@check
def a_user_and_all_that_it_has(account):
    name, key = account.user(ALL)
    user = account.iam.get_user(UserName=name)["User"]
    assert user["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/{name}" and user["Path"] == "/", user
    assert abs(user["CreateDate"].timestamp() - time.time()) < 60
    assert account.iam.get_user_policy(UserName=name, PolicyName="own")["PolicyDocument"] == ALL
    account.iam.attach_user_policy(UserName=name, PolicyArn="arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly")
    attached = account.iam.list_attached_user_policies(UserName=name)["AttachedPolicies"]
    assert [policy["PolicyName"] for policy in attached] == ["AmazonEC2ContainerRegistryReadOnly"], attached
    account.iam.tag_user(UserName=name, Tags=[{"Key": "team", "Value": "a b"}])
    assert account.iam.list_user_tags(UserName=name)["Tags"] == [{"Key": "team", "Value": "a b"}]
    assert account.iam.get_user(UserName=name)["User"]["Tags"] == [{"Key": "team", "Value": "a b"}]
    account.iam.untag_user(UserName=name, TagKeys=["team"])
    account.iam.create_login_profile(UserName=name, Password="a robot's password")
    assert account.iam.get_login_profile(UserName=name)["LoginProfile"]["UserName"] == name
    fault("DeleteConflict", 409, account.iam.delete_user, UserName=name)
    account.iam.delete_login_profile(UserName=name)
    fault("NoSuchEntity", 404, account.iam.get_login_profile, UserName=name)
    assert account.client("sts", **key).get_caller_identity()["Arn"] == user["Arn"]
    fault("AccessDenied", 403, account.client("iam", **key).list_users)
    fault("EntityAlreadyExists", 409, account.iam.create_user, UserName=name)


@check
def exceptions_are_those_of_botocore(account):
    for call, exception in [
        (lambda: account.iam.get_user(UserName="none-of-this-name"), account.iam.exceptions.NoSuchEntityException),
        (lambda: account.iam.delete_user(UserName=account.users[0]), account.iam.exceptions.DeleteConflictException),
        (
            lambda: account.iam.put_user_policy(UserName=account.users[0], PolicyName="x", PolicyDocument="{}"),
            account.iam.exceptions.MalformedPolicyDocumentException,
        ),
        (lambda: account.iam.tag_user(UserName="root", Tags=[]), account.iam.exceptions.UnmodifiableEntityException),
        (lambda: account.iam.create_user(UserName="AWS"), account.iam.exceptions.InvalidInputException),
        (
            lambda: [account.iam.create_access_key(UserName=account.users[0]) for _ in range(3)],
            account.iam.exceptions.LimitExceededException,
        ),
    ]:
        if not account.users:
            account.user(ALL)
        try:
            call()
        except exception:
            continue
        raise AssertionError(f"no {exception}")
    fault("InvalidAction", 400, account.iam.create_group, GroupName="x")


@check
def a_key_is_made_inactive_and_active_again(account):
    name, key = account.user(ALL)
    second = account.iam.create_access_key(UserName=name)["AccessKey"]
    sts = account.client("sts", **key)
    for status in ("Inactive", "Active"):
        account.iam.update_access_key(UserName=name, AccessKeyId=key["aws_access_key_id"], Status=status)
        listed = account.iam.list_access_keys(UserName=name)["AccessKeyMetadata"]
        assert {one["AccessKeyId"]: one["Status"] for one in listed} == {
            key["aws_access_key_id"]: status, second["AccessKeyId"]: "Active",
        }, listed
        if status == "Active":
            assert sts.get_caller_identity()["Arn"].endswith(f"user/{name}")
        else:
            fault("InvalidClientTokenId", 403, sts.get_caller_identity)


@check
def managed_policies_are_found_by_the_aws_cli(account):
    listed = account.aws("iam", "list-policies", "--scope", "AWS")["Policies"]
    arn = next(one["Arn"] for one in listed if one["PolicyName"] == "AmazonEC2ContainerRegistryPullOnly")
    version = account.aws("iam", "get-policy", "--policy-arn", arn)["Policy"]["DefaultVersionId"]
    got = account.aws("iam", "get-policy-version", "--policy-arn", arn, "--version-id", version)["PolicyVersion"]
    assert "ecr:BatchGetImage" in got["Document"]["Statement"][0]["Action"], got
    assert not account.aws("iam", "list-policies", "--scope", "Local")["Policies"]


@check
def lists_come_in_pages(account):
    names = sorted(account.user(with_key=False)[0] for _ in range(3))
    pages = account.iam.get_paginator("list_users").paginate(PaginationConfig={"PageSize": 2})
    seen = [user["UserName"] for page in pages for user in page["Users"]]
    assert seen == sorted(set(seen)) and set(names) <= set(seen), seen


@check
def a_new_user_pushes_with_the_token_of_the_aws_cli(account):
    name = f"check-{secrets.token_hex(4)}"
    account.users.append(name)
    assert account.aws("iam", "create-user", "--user-name", name)["User"]["UserName"] == name
    account.aws("iam", "attach-user-policy", "--user-name", name, "--policy-arn", "arn:aws:iam::aws:policy/FullAccess")
    key = account.aws("iam", "create-access-key", "--user-name", name)["AccessKey"]
    with tempfile.TemporaryDirectory(prefix="c", dir="/tmp") as folder:
        machine = Machine(account.endpoint, folder)
        machine.environment |= {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
        if not shutil.which("skopeo"):
            raise LeftOut("skopeo is not on this machine")
        machine.run("skopeo", "login", "--tls-verify=false", "-u", "AWS", "--password-stdin", machine.host, given=machine.password())
        image = machine.name()
        machine.skopeo_push(image)
        machine.run("skopeo", "inspect", "--tls-verify=false", f"docker://{image}:1")
        # What the token was given for is no more: neither is the token.
        account.aws("iam", "detach-user-policy", "--user-name", name, "--policy-arn", "arn:aws:iam::aws:policy/FullAccess")
        machine.run("skopeo", "inspect", "--tls-verify=false", f"docker://{image}:1", fails=True)


@check
def the_password_of_a_robot(account):
    name, _ = account.user(ALL, with_key=False)
    account.aws("iam", "create-login-profile", "--user-name", name, "--password", "robots-own-password")
    with tempfile.TemporaryDirectory(prefix="c", dir="/tmp") as folder:
        machine = Machine(account.endpoint, folder)
        if not shutil.which("skopeo"):
            raise LeftOut("skopeo is not on this machine")
        login = ["skopeo", "login", "--tls-verify=false", "-u", name, "--password-stdin", machine.host]
        machine.run(*login, given="a wrong one", fails=True)
        machine.run(*login, given="robots-own-password")
        machine.skopeo_push(machine.name())
    account.iam.delete_login_profile(UserName=name)


@check
def a_session_token(account):
    name, key = account.user(ALL)
    session = keys(account.client("sts", **key).get_session_token(DurationSeconds=900)["Credentials"])
    assert account.client("sts", **session).get_caller_identity()["Arn"].endswith(f"user/{name}")
    account.client("ecr", **session).get_authorization_token()
    fault("AccessDenied", 403, account.client("sts", **session).get_session_token)
    for metadata in account.iam.list_access_keys(UserName=name)["AccessKeyMetadata"]:
        account.iam.delete_access_key(UserName=name, AccessKeyId=metadata["AccessKeyId"])
    account.iam.delete_user_policy(UserName=name, PolicyName="own")
    account.iam.delete_user(UserName=name)
    account.users.remove(name)
    fault("InvalidClientTokenId", 403, account.client("sts", **session).get_caller_identity)


@check
def assuming_a_role(account):
    role, arn = account.role({"AWS": f"arn:aws:iam::{ACCOUNT}:root"})
    described = account.iam.get_role(RoleName=role)["Role"]
    assert described["AssumeRolePolicyDocument"] == json.loads(trust({"AWS": f"arn:aws:iam::{ACCOUNT}:root"})), described
    may = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": arn}]}
    _, key = account.user(may)
    _, powerless = account.user(ALL)
    assumed = account.client("sts", **key).assume_role(RoleArn=arn, RoleSessionName="job-1", DurationSeconds=900)
    assert assumed["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/job-1", assumed
    session = keys(assumed["Credentials"])
    repository = f"check-{secrets.token_hex(4)}/app"
    account.client("ecr", **session).create_repository(repositoryName=repository)
    account.client("ecr", **session).delete_repository(repositoryName=repository)
    fault("AccessDenied", 403, account.client("sts", **powerless).assume_role, RoleArn=arn, RoleSessionName="job-1")
    fault("AccessDeniedException", 400, account.client("ecr", **key).create_repository, repositoryName=repository)
    account.iam.update_assume_role_policy(RoleName=role, PolicyDocument=trust({"AWS": f"arn:aws:iam::{ACCOUNT}:user/another"}))
    fault("AccessDenied", 403, account.client("sts", **key).assume_role, RoleArn=arn, RoleSessionName="job-1")
    fault("ValidationError", 400, account.sts.assume_role, RoleArn=arn, RoleSessionName="s1", Policy=json.dumps(ALL))
    assert role in [found["RoleName"] for found in account.iam.list_roles()["Roles"]]


@check
def a_profile_of_the_aws_cli_assumes_a_role(account):
    role, arn = account.role({"AWS": ACCOUNT})
    _, key = account.user({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:*", "Resource": "*"}]})
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "config")
        with open(path, "w", encoding="utf-8") as file:
            file.write(
                f"[profile base]\naws_access_key_id = {key['aws_access_key_id']}\naws_secret_access_key = {key['aws_secret_access_key']}\n"
                f"[profile role]\nrole_arn = {arn}\nsource_profile = base\nrole_session_name = from-cli\n"
            )
        environment = {"AWS_CONFIG_FILE": path, "AWS_PROFILE": "role", "AWS_ENDPOINT_URL": account.endpoint}
        environment |= {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
        me = account.aws("sts", "get-caller-identity", **environment)
    assert me["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/from-cli", me


@check
def an_id_token_assumes_the_role_of_its_rule(account):
    if not account.issuer_port:
        raise LeftOut("no --issuer-port")
    with tempfile.TemporaryDirectory() as folder:
        issuer = Issuer(account.issuer_port, folder)
        arn = f"arn:aws:iam::{ACCOUNT}:role/ci"
        ask = {"RoleArn": arn, "RoleSessionName": "any-name"}
        assumed = account.sts.assume_role_with_web_identity(WebIdentityToken=issuer.token(), **ask)
        session = keys(assumed["Credentials"])
        me = account.client("sts", **session).get_caller_identity()
        assert me["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/ci/job-7", me
        account.client("ecr", **session).get_authorization_token()
        fault("AccessDenied", 403, account.client("iam", **session).list_users)
        call = account.sts.assume_role_with_web_identity
        fault("InvalidIdentityToken", 400, call, WebIdentityToken=issuer.token(repository="other/app"), **ask)
        fault("InvalidIdentityToken", 400, call, WebIdentityToken=issuer.token(exp=1), **ask)
        other = {**ask, "RoleArn": arn + "-other"}
        fault("AccessDenied", 403, call, WebIdentityToken=issuer.token(), **other)
        # As a pod does it: the AWS CLI reads the token from a file.
        path = os.path.join(folder, "token")
        with open(path, "w", encoding="utf-8") as file:
            file.write(issuer.token())
        environment = {"AWS_WEB_IDENTITY_TOKEN_FILE": path, "AWS_ROLE_ARN": arn, "AWS_ENDPOINT_URL": account.endpoint}
        environment |= {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
        assert account.aws("sts", "get-caller-identity", **environment)["Arn"] == me["Arn"]
        issuer.server.shutdown()


@check
def what_would_be_decided(account):
    condition = {"StringEquals": {"aws:PrincipalTag/team": "a"}}
    statements = [
        {"Sid": "pull", "Effect": "Allow", "Action": "ecr:BatchGetImage", "Resource": "*", "Condition": condition},
        {"Effect": "Allow", "Action": "ecr:PutImage", "Resource": "*", "Condition": {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}},
        {"Effect": "Deny", "Action": "ecr:Delete*", "Resource": "*"},
    ]
    name, _ = account.user({"Version": "2012-10-17", "Statement": statements}, with_key=False)
    account.iam.tag_user(UserName=name, Tags=[{"Key": "team", "Value": "a"}])

    def decisions(**more):
        actions = ["ecr:BatchGetImage", "ecr:PutImage", "ecr:DeleteRepository"]
        source = f"arn:aws:iam::{ACCOUNT}:user/{name}"
        answer = account.iam.simulate_principal_policy(PolicySourceArn=source, ActionNames=actions, **more)
        return [result["EvalDecision"] for result in answer["EvaluationResults"]], answer

    decided, answer = decisions()
    assert decided == ["allowed", "implicitDeny", "explicitDeny"], answer
    matched = answer["EvaluationResults"][0]["MatchedStatements"]
    assert matched[0]["SourcePolicyId"].startswith("own") and matched[0]["SourcePolicyType"] == "user", matched
    entry = {"ContextKeyName": "aws:SourceIp", "ContextKeyType": "ip", "ContextKeyValues": ["192.0.2.7"]}
    assert decisions(ContextEntries=[entry])[0] == ["allowed", "allowed", "explicitDeny"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--endpoint", required=True, help="such as http://127.0.0.1:5000")
    parser.add_argument("--issuer-port", type=int, help="where the registry expects an issuer on this machine")
    wanted = parser.parse_args()
    account = Account(wanted.endpoint.rstrip("/"), wanted.issuer_port)
    passed = failed = left_out = 0
    for function in CHECKS:
        name = function.__name__.replace("_", " ")
        try:
            function(account)
            passed += 1
            print(f"passed   {name}")
        except LeftOut as reason:
            left_out += 1
            print(f"left out {name}: {reason}")
        except Exception:
            failed += 1
            print(f"FAILED   {name}\n{traceback.format_exc()}")
        finally:
            account.clean()
    print(f"{passed} passed, {failed} failed, {left_out} left out")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
