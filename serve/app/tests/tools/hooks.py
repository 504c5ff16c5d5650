"""What schemathesis does beside its own.

It comes from many addresses and with many tokens, as clients do: the limits of one address and one token, which hold as
they do in production, are not what it finds. And it knows what a description cannot say of a value.
"""

import itertools
import os

import schemathesis
from schemathesis.openapi.checks import RejectedPositiveData

TOKENS = [token for token in os.environ["TOKENS"].split(",") if token]
# What the tokens live by: it is left alone, or everything after its end would be refused.
KEPT = set(os.environ["KEPT"].split(","))
NUMBERS = itertools.count()
LONGEST_KEY = 255


if TOKENS:

    @schemathesis.auth(refresh_interval=None)
    class Agents:
        def get(self, case, context):
            return TOKENS[next(NUMBERS) % len(TOKENS)]

        def set(self, case, data, context):
            case.headers["Authorization"] = f"Bearer {data}"


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
    """A cursor is taken from the page before: one that is made up is refused whatever it looks like."""
    made_up = "cursor" in (case.query or {}) and isinstance(failure, RejectedPositiveData)
    return not (made_up and response.json()["code"] == "bad-cursor")
