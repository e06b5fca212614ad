from __future__ import annotations

import ast

import pytest

from cache_strategy.hookify.masking import MASK, masked, plain, shown

# Put together here, so that no scanner takes this file for a leak.
SECRETS = [
    ("export STRIPE=" + "sk_" + "live_4eC39HqLyjWDarjtT1zdp7dc", "4eC39Hq"),
    ("git clone https://" + "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a@github.com/a/b", "16C7e42F"),
    ("token: " + "xox" + "b-1234567890-abcdefgh", "abcdefgh"),
    ("aws configure set aws_access_key_id " + "AKIA" + "IOSFODNN7EXAMPLE", "IOSFODNN7"),
    ("DATABASE_URL=postgres://shop:hunter2@db.internal/shop", "hunter2"),
    ("redis://:s3cretpw@10.0.0.1:6379/0", "s3cretpw"),
    ("redis-cli -h prod -a s3cretpw FLUSHALL", "s3cretpw"),
    ("mysql -uroot -phunter22 shop", "hunter22"),
    ("curl -H 'Authorization: Basic YWRtaW46aHVudGVyMg==' https://x", "YWRtaW46"),
    ('curl -H "X-Api-Key: 0a1b2c3d" https://x', "0a1b2c3d"),
    ("Cookie: session=abc123def", "abc123def"),
    ("deploy --password hunter2 now", "hunter2"),
    ('{"client_secret": "very private"}', "very private"),
    ("password = 'correct horse'", "correct horse"),
    ("eyJ" + "hbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVP", "dBjftJeZ4CVP"),
    ("-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nabc\n-----END RSA PRIVATE KEY-----", "MIIEow"),
    ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNz\nand it never ends", "b3BlbnNz"),
    ("key 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "9f86d081"),
    ("use Zx81kQ0pLm4Rt7Vb2Nc5Ys9Wd3Hf6Jg1", "Zx81kQ0p"),
]


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_a_secret_is_masked(text, secret):
    assert secret in text
    assert secret not in masked(text) and MASK in masked(text)
    assert secret not in shown(text)


@pytest.mark.parametrize(
    "text",
    [
        "you removed the invalidation, now users see the old price",
        "tests/plan/test_a_write_in_another_file_invalidates_the_list.py",
        "cache.set(f'user:{user_id}', profile, timeout=3600)",
        "token = request.headers.get('X')",
        "the password field should be wider",
        "redis-cli -h localhost DEL product:7",
    ],
)
def test_ordinary_text_stays_as_it_is(text):
    assert masked(text) == text


def test_masked_code_still_parses():
    code = "def connect(password: str = 'hunter2'):\n    return open_(token='abc', url='redis://:pw@h/0')\n"

    ast.parse(masked(code))

    assert "hunter2" not in masked(code)


def test_what_is_shown_is_one_line_without_control_characters():
    text = "\x1b[31mred\x1b[0m\x1b]0;title\x07\nline\u202etwo\u200b\x00 end\x9b1m"

    assert shown(text) == "red linetwo end1m"
    assert plain("a\tb\nc\r") == "a\tb\nc"
    assert len(shown("word " * 500, 80)) <= 80


def test_a_secret_at_the_cut_is_masked_before_the_text_is_cut():
    text = "x" * 70 + " password=hunter2hunter2hunter2"

    assert "hunter" not in shown(text, 85)
