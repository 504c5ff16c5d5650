#!/usr/bin/python3
"""Bans or unbans an address in a Cloudflare zone: cloudflare-ban ban|unban DOMAIN ADDRESS"""

import json
import sys
import urllib.error
import urllib.parse
import urllib.request

API = "https://api.cloudflare.com/client/v4"
TOKEN = "/etc/bastide/cloudflare.token"
NOTE = "banned by fail2ban"


def ask(method, path, body=None):
    """The result of one call; the API's own words where it refuses."""
    with open(TOKEN, encoding="utf-8") as file:
        headers = {"Authorization": "Bearer " + file.read().strip(), "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(API + path, data=data, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=15) as response:
            return json.load(response)["result"]
    except urllib.error.HTTPError as error:
        said = error.read().decode(errors="replace")
        sys.exit(f"cloudflare-ban: {method} {path}: {error.code}: {said}")
    except urllib.error.URLError as error:
        sys.exit(f"cloudflare-ban: {method} {path}: {error.reason}")


def zone_of(domain):
    """The zone that a domain is in: itself, or the nearest domain above it."""
    labels = domain.split(".")
    for start in range(len(labels) - 1):
        name = ".".join(labels[start:])
        zones = ask("GET", "/zones?" + urllib.parse.urlencode({"name": name}))
        if zones:
            return zones[0]["id"]
    sys.exit(f"cloudflare-ban: the token sees no zone of {domain}; it needs Zone:Read and Firewall Services:Edit")


def rules_of(rules, address):
    """The rules that this script made for the address."""
    query = urllib.parse.urlencode({"configuration.value": address, "mode": "block"})
    return [rule for rule in ask("GET", f"{rules}?{query}") if rule.get("notes") == NOTE]


def main():
    if len(sys.argv) != 4 or sys.argv[1] not in ("ban", "unban"):
        sys.exit(__doc__)
    action, domain, address = sys.argv[1:]
    rules = f"/zones/{zone_of(domain)}/firewall/access_rules/rules"
    present = rules_of(rules, address)
    if action == "unban":
        for rule in present:
            ask("DELETE", f"{rules}/{rule['id']}")
    elif not present:
        target = "ip6" if ":" in address else "ip"
        ask("POST", rules, {"mode": "block", "notes": NOTE, "configuration": {"target": target, "value": address}})


main()
