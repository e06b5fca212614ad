"""Which files are configurations, how they are read, and that nothing that stands in one raises."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from cache_strategy.rules import check_change, check_text
from cache_strategy.rules._config import ConfigFile, kind_of
from cache_strategy.rules.event import check_event
from rules.case_files import FOLDER, cases_of

NGINX = "server {\n    proxy_cache pages;\n    proxy_ignore_headers Set-Cookie;\n}\n"


@pytest.mark.parametrize(
    ("path", "text", "kind"),
    [
        ("deploy/nginx.conf", NGINX, "nginx"),
        ("deploy/nginx.conf.j2", NGINX, "nginx"),
        ("nginx/production", NGINX, "nginx"),
        ("templates/site.j2", NGINX, "nginx"),
        ("templates/page.html.j2", NGINX, ""),
        ("etc/app.conf", NGINX, "nginx"),
        ("etc/app.conf", "[server]\nport = 1\n", ""),
        ("docs/nginx.md", NGINX, ""),
        ("shop/nginx.py", NGINX, ""),
        ("default.vcl.erb", "sub vcl_recv {}", "vcl"),
        ("redis-cache.conf", "maxmemory 1mb", "redis"),
        ("compose.yaml", "services:\n  a:\n    image: docker.io/library/redis:7\n", "compose"),
        ("ci.yml", "jobs:\n  a:\n    image: python\n", ""),
        ("main.tf", "", "hcl"),
        ("stack.json", '{"Type": "AWS::CloudFront::Distribution"}', "cloudfront-json"),
        ("package.json", "{}", ""),
        ("src/worker.ts", "const cache = caches.default;", "worker"),
        ("src/page.ts", "cache.put(key, value);", ""),
        ("public/_headers", "/*", "headers"),
    ],
)
def test_a_file_is_known_by_its_name_and_its_text(path: str, text: str, kind: str):
    assert kind_of(path, text) == kind


def test_blocks_strings_comments_and_templates_are_read():
    text = (
        'http {\n    # server { }\n    set $a "x; {y}";\n    {% if cache %}\n    location ~ "^/a{2}" {\n'
        "        proxy_pass http://{{ host }}/;\n    }\n    {% endif %}\n}\n"
    )
    http = ConfigFile(text, "nginx.conf", "nginx").root.children[0]

    assert [(node.key, node.line) for node in http.children] == [("set", 3), ("location", 5)]
    assert http.children[1].children[0].head == "proxy_pass http://X/"


@pytest.mark.parametrize("tool", ["cat > nginx.conf <<EOF\n{}EOF", "tee deploy/nginx.conf <<'EOF'\n{}EOF"])
def test_a_configuration_that_a_command_writes_is_judged(tmp_path: Path, tool: str):
    event = {"tool_name": "Bash", "cwd": str(tmp_path), "tool_input": {"command": tool.format(NGINX)}}

    assert [finding.name for finding in check_event(event)] == ["proxy-keeps-private-answers"]


def test_each_document_and_each_block_of_a_yaml_file_stands_alone():
    block = "kind: ConfigMap\ndata:\n  a.conf: |\n    proxy_cache a;\n    {}\n---\n"
    text = block.format("proxy_no_cache $cookie_a;") + block.format("proxy_ignore_headers Set-Cookie;")

    assert [(f.rule, f.line) for f in check_text(text, "k8s/all.yaml")] == [("CS201", 11)]


@pytest.mark.parametrize("name", ["unsafe-cache-config", "proxy-keeps-private-answers", "CS201"])
def test_an_allow_by_the_name_of_the_rule_before_still_allows(name: str):
    allowed = NGINX.replace("Cookie;", f"Cookie; # cache-safety: allow[{name}] no sessions")

    assert check_text(allowed, "nginx.conf") == []
    assert check_text("maxmemory 1mb # cache-safety: allow[unsafe-cache-config] a queue", "redis.conf") == []


def test_nothing_that_stands_in_a_configuration_raises():
    chance = random.Random(5)
    bits = [
        "{",
        "}",
        '"',
        "'",
        "/*",
        "<<A\n",
        "\n",
        "#",
        "[",
        "]",
        "- ",
        "{{",
        "%}",
        "\0",
        "é",
        "maxmemory 1mb",
        "return (pass);",
        "a: |\n",
        "---\n",
    ]
    cases = [
        case
        for file in FOLDER.glob("*.txt")
        for case in cases_of(file.stem.replace("_", "-"))
        if not case.path.endswith(".py")
    ]
    for _ in range(600):
        case = chance.choice(cases)
        text = list(case.text)
        for _ in range(chance.randint(1, 8)):
            place = chance.randint(0, len(text))
            text[place : place + chance.randint(0, 30)] = chance.choice(bits)
        changed = "".join(text)
        check_text(changed, case.path)
        check_change(case.text, changed, case.path)
        check_change(changed, case.text, case.path)
