import pytest
import redis

from cli.servers.redis import quoted
from cli.stack import Stack


def test_it_answers_only_to_its_password_and_keeps_nothing_on_disk(stack: Stack) -> None:
    with redis.Redis.from_url(stack.redis.url()) as client:
        assert client.ping()
        assert client.config_get("save") == {"save": ""}
        assert client.config_get("appendonly") == {"appendonly": "no"}
    with (
        redis.Redis(host="127.0.0.1", port=stack.redis.port) as stranger,
        pytest.raises(redis.AuthenticationError),
    ):
        stranger.ping()


def test_databases_are_numbered_in_the_address(stack: Stack) -> None:
    assert stack.redis.url(3).endswith(f"@127.0.0.1:{stack.redis.port}/3")


def test_a_killed_one_comes_back_empty(stack: Stack) -> None:
    with redis.Redis.from_url(stack.redis.url()) as client:
        client.set("key", "value")
    stack.redis.kill()
    stack.redis.start()
    with redis.Redis.from_url(stack.redis.url()) as client:
        assert client.get("key") is None


@pytest.mark.parametrize(
    ("path", "word"),
    [("/my data/redis", '"/my data/redis"'), ('/a "b"\\c', '"/a \\"b\\"\\\\c"')],
)
def test_a_path_is_one_word_of_the_configuration(path: str, word: str) -> None:
    assert quoted(path) == word
