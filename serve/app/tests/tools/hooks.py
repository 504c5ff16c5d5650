"""What schemathesis does beside its own.

It comes from many addresses and with many tokens, as clients do: the limits of one address and one token, which hold as
they do in production, are not what it finds. And it knows what a description cannot say of a value.
"""

import ipaddress
import itertools
import os

import schemathesis
from hypothesis import strategies
from schemathesis.openapi.checks import RejectedPositiveData

TOKENS = [token for token in os.environ["TOKENS"].split(",") if token]
SESSIONS = [session for session in os.environ["SESSIONS"].split(",") if session]
# What the tokens and sessions live by: it is left alone, or everything after its end would be refused.
KEPT = set(os.environ["KEPT"].split(","))
ENDING = {"revokeAllSessions", "revokeSession"}
NUMBERS = itertools.count()
LONGEST_KEY = 255

addresses = strategies.ip_addresses()
networks = strategies.builds(
    lambda address, bits: str(ipaddress.ip_network((address, bits % (address.max_prefixlen + 1)), strict=False)),
    addresses,
    strategies.integers(0, 128),
)
schemathesis.openapi.format("ip-network", addresses.map(str) | networks)


def definition(operation):
    return operation.definition.raw


if TOKENS:

    @schemathesis.auth(refresh_interval=None)
    class Owner:
        """An agent's token, and a session where only people may ask."""

        def get(self, case, context):
            return next(NUMBERS)

        def set(self, case, number, context):
            known = definition(context.operation)
            people = all("bearer" not in way for way in known["security"])
            if people and SESSIONS and known["operationId"] not in ENDING:
                case.headers["Cookie"] = SESSIONS[number % len(SESSIONS)]
                case.headers["Origin"] = os.environ["ORIGIN"]
                case.headers.setdefault("Content-Type", "application/json")
            else:
                case.headers["Authorization"] = f"Bearer {TOKENS[number % len(TOKENS)]}"


def forwarded(request):
    """Says for whom the request is, as an edge host of the platform does."""
    number = next(NUMBERS)
    request.headers["X-Forwarded-For"] = f"198.51.{number // 250 % 250}.{number % 250 + 1}"
    return request


def fresh(key):
    """The key for one request alone: a key belongs to its first."""
    number = str(next(NUMBERS))
    quoted = key.startswith('"')
    key = key.strip('"')[: LONGEST_KEY - len(number)] + number
    return f'"{key}"' if quoted else key


@schemathesis.hook
def before_call(context, case, kwargs):
    kwargs["auth"] = forwarded
    if not (case.meta and case.meta.generation.mode.is_positive):
        return
    headers = case.headers or {}
    if "Idempotency-Key" in headers:
        headers["Idempotency-Key"] = fresh(headers["Idempotency-Key"])
    # The tag of the current version has only who has read it; every other write has it.
    if "If-Match" in headers and next(NUMBERS) % 2:
        headers["If-Match"] = "*"


@schemathesis.hook
def filter_case(context, case):
    return case.method == "GET" or not KEPT.intersection(map(str, (case.path_parameters or {}).values()))


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """What no description can say of a request that is good."""
    if not isinstance(failure, RejectedPositiveData):
        return True
    problem = response.json()
    errors = {(error["code"], error["pointer"]) for error in problem.get("errors", [])}
    kinds = {kind for kind, _ in errors}
    # A cursor is taken from the page before: one that is made up is refused whatever it looks like.
    made_up = problem["code"] == "bad-cursor"
    # Two parameters go together.
    alone = problem["code"] == "query-invalid" and kinds == {"missing-field"}
    # A moment is in the future, and not too far.
    untimely = errors == {("range", "/expires_at")}
    return not (made_up or alone or untimely)
