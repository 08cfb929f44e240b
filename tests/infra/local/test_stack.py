"""The real servers: killed, interrupted, crowded out of their ports, and brought back."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic
from neo4j import GraphDatabase
from pymilvus import MilvusClient

from assets.settings import Settings
from assets.stores import postgres
from infra.local import processes, stack
from infra.local.directory import Directory
from infra.local.errors import PortTaken, StackError
from infra.local.parts.registry import STORES

pytestmark = pytest.mark.stack


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """Folder for a stack of this test's own, of the two servers that start fastest."""
    directory = tmp_path / "my var"
    yield directory
    stack.stop(directory)


SMALL = "valkey,models"


def kill(home: Directory, part: str) -> int:
    record = home.record(part)
    assert record is not None
    os.kill(record.process.pid, signal.SIGKILL)
    until(lambda: not record.process.is_alive())
    return record.process.pid


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def states(directory: Path, only: str) -> dict[str, stack.PartStatus]:
    return {part.name: part for part in stack.status(directory, only)}


def switchdesk(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "infra.local.cli", *arguments, "--dir", str(directory)]
    return subprocess.run(command, capture_output=True, text=True, cwd="/", timeout=120)


class Written:
    """What one test wrote into every store, to be found again."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.name = f"kept_{uuid.uuid4().hex[:8]}"

    def write(self) -> None:
        settings = self.settings
        with postgres.connect(settings.require("postgres_url"), application="tests") as connection:
            connection.execute(f"create table ops.{self.name} as select 7 as kept")
        with redis.Redis.from_url(settings.require("redis_url")) as client:
            client.set(self.name, "kept")
            client.waitaof(1, 0, 5000)
        bootstrap = {"bootstrap.servers": settings.require("kafka_bootstrap")}
        admin = AdminClient(bootstrap)
        admin.create_topics([NewTopic(self.name, 1, 1)])[self.name].result(20)
        producer = Producer({**bootstrap, "acks": "all"})
        producer.produce(self.name, b"kept")
        assert producer.flush(20) == 0
        with self._graph() as driver:
            driver.execute_query("CREATE (:Kept {name: $name})", name=self.name)
        vectors = MilvusClient(uri=settings.require("milvus_url"))
        vectors.create_collection(self.name, dimension=4)
        vectors.insert(self.name, [{"id": 7, "vector": [1.0, 0.0, 0.0, 0.0]}])
        vectors.close()

    def assert_kept(self) -> None:
        settings = self.settings
        with postgres.connect(settings.require("postgres_url"), application="tests") as connection:
            assert connection.execute(f"select kept from ops.{self.name}").fetchall() == [(7,)]
        with redis.Redis.from_url(settings.require("redis_url")) as client:
            assert client.get(self.name) == b"kept"
        consumer = Consumer(
            {
                "bootstrap.servers": settings.require("kafka_bootstrap"),
                "group.id": self.name,
                "auto.offset.reset": "earliest",
            }
        )
        consumer.subscribe([self.name])
        message = consumer.poll(30)
        assert message is not None
        assert message.value() == b"kept"
        consumer.close()
        with self._graph() as driver:
            records, _, _ = driver.execute_query("MATCH (k:Kept {name: $name}) RETURN count(k) AS n", name=self.name)
            assert records[0]["n"] == 1
        vectors = MilvusClient(uri=settings.require("milvus_url"))
        assert [row["id"] for row in vectors.get(self.name, ids=[7])] == [7]
        vectors.close()

    def forget(self) -> None:
        settings = self.settings
        with postgres.connect(settings.require("postgres_url"), application="tests") as connection:
            connection.execute(f"drop table if exists ops.{self.name}")
        with redis.Redis.from_url(settings.require("redis_url")) as client:
            client.delete(self.name)
        admin = AdminClient({"bootstrap.servers": settings.require("kafka_bootstrap")})
        admin.delete_topics([self.name])[self.name].result(20)
        with self._graph() as driver:
            driver.execute_query("MATCH (k:Kept {name: $name}) DELETE k", name=self.name)
        vectors = MilvusClient(uri=settings.require("milvus_url"))
        vectors.drop_collection(self.name)
        vectors.close()

    def _graph(self):
        auth = (self.settings.neo4j_user, self.settings.require("neo4j_password"))
        return GraphDatabase.driver(self.settings.require("neo4j_url"), auth=auth)


def test_every_server_answers_under_the_settings_written_for_it(stack_directory: Path) -> None:
    found = states(stack_directory, "stores")
    assert {name: part.state for name, part in found.items()} == {part.name: stack.State.READY for part in STORES}
    for part in found.values():
        assert part.pid is not None
        assert part.rss_mb > 1
        assert part.port is not None
        assert processes.holder_of(part.port) is not None


def test_nothing_listens_to_other_machines(stack_directory: Path) -> None:
    pids = {process.pid for process in processes.belonging_to(stack_directory)}
    listening = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                listening.add((fields[9], fields[1].rpartition(":")[0]))
    ours = set()
    for pid in pids:
        for handle in Path(f"/proc/{pid}/fd").iterdir():
            inode = os.readlink(handle).removeprefix("socket:[").removesuffix("]")
            ours |= {address for found, address in listening if found == inode}
    # 127.0.0.1, and the same written as an IPv6 address by Java.
    assert ours <= {"0100007F", "0000000000000000FFFF00000100007F"}
    assert ours


@pytest.mark.parametrize("url", ["postgres", "redis", "neo4j", "models"])
def test_no_server_takes_a_stranger(stack: Settings, url: str) -> None:
    import httpx
    from neo4j.exceptions import AuthError

    if url == "postgres":
        parsed = psycopg.conninfo.conninfo_to_dict(postgres.conninfo(stack.require("postgres_url")))
        for user in ("switchdesk", "postgres"):
            with pytest.raises(psycopg.OperationalError, match="password"):
                psycopg.connect(host="127.0.0.1", port=parsed["port"], user=user, dbname="switchdesk", password="x")
    elif url == "redis":
        port = stack.require("redis_url").rpartition(":")[2].partition("/")[0]
        with redis.Redis(port=int(port)) as client, pytest.raises(redis.AuthenticationError):
            client.ping()
    elif url == "neo4j":
        with (
            GraphDatabase.driver(stack.require("neo4j_url"), auth=("neo4j", "neo4j")) as driver,
            pytest.raises(AuthError),
        ):
            driver.verify_connectivity()
    else:
        assert httpx.get(f"{stack.require('models_url')}/models").status_code == 401


def test_the_models_answer_under_each_name_of_the_policy(stack: Settings) -> None:
    import httpx

    from serving.policy import load_policy

    for model in load_policy(stack).models:
        answer = httpx.post(
            f"{stack.require('models_url')}/chat/completions",
            headers={"Authorization": f"Bearer {stack.require('models_api_key')}"},
            json={"model": model.name, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 2},
            timeout=60,
        )
        assert answer.status_code == 200
        assert answer.json()["usage"]["completion_tokens"] > 0


def test_killed_servers_are_named_and_come_back_where_they_were_with_all_they_held(
    stack_directory: Path, request: pytest.FixtureRequest
) -> None:
    home = Directory(stack_directory)
    before = states(stack_directory, "stores")
    written = Written(request.getfixturevalue("stack"))
    written.write()
    try:
        killed = {part.name: kill(home, part.name) for part in STORES}
        for name, part in states(stack_directory, "stores").items():
            assert part.state is stack.State.FAILED
            assert part.detail.startswith("died")
            assert part.port == before[name].port
        report = switchdesk(stack_directory, "doctor")
        assert report.returncode == 1
        for name in killed:
            assert f"wrong  {name} " in report.stdout
        assert "Traceback" not in report.stdout + report.stderr
    finally:
        assert sorted(stack.start(stack_directory, "stores")) == sorted(before)
    after = states(stack_directory, "stores")
    for name, part in after.items():
        assert part.state is stack.State.READY
        assert part.port == before[name].port
        assert part.pid != killed[name]
    written.assert_kept()
    written.forget()
    report = switchdesk(stack_directory, "doctor")
    assert report.returncode == 0, report.stdout


def test_one_dead_server_comes_back_without_touching_the_others(stack_directory: Path) -> None:
    home = Directory(stack_directory)
    before = states(stack_directory, "stores")
    kill(home, "valkey")
    assert stack.start(stack_directory, "stores") == ["valkey"]
    after = states(stack_directory, "stores")
    assert {name: part.pid for name, part in after.items() if name != "valkey"} == {
        name: part.pid for name, part in before.items() if name != "valkey"
    }


def test_a_second_up_says_so_and_changes_nothing(stack_directory: Path) -> None:
    home = Directory(stack_directory)
    before = (states(stack_directory, "stores"), home.env_file.read_text())
    again = switchdesk(stack_directory, "up", "--only", "stores")
    assert again.returncode == 0
    assert "already up" in again.stdout
    after = (states(stack_directory, "stores"), home.env_file.read_text())
    assert {name: part.pid for name, part in after[0].items()} == {name: part.pid for name, part in before[0].items()}
    assert after[1] == before[1]


def test_settings_survive_a_shell(stack_directory: Path) -> None:
    printed = switchdesk(stack_directory, "env")
    echoed = subprocess.run(
        ["sh", "-c", f'{printed.stdout}\nprintf %s "$SWITCHDESK_POSTGRES_URL"'], capture_output=True, text=True
    )
    assert echoed.stdout == Directory(stack_directory).read_env()["SWITCHDESK_POSTGRES_URL"]


def test_a_folder_with_a_space_starts_and_leaves_nothing_behind(small: Path) -> None:
    assert sorted(stack.start(small, SMALL)) == ["models", "valkey"]
    home = Directory(small)
    ports = [record.port for part in ("valkey", "models") if (record := home.record(part))]
    assert sorted(stack.stop(small)) == ["models", "valkey"]
    assert processes.belonging_to(home.path) == []
    assert all(processes.port_is_free(port) for port in ports)
    assert {part.state for part in stack.status(small, SMALL)} == {stack.State.STOPPED}
    assert stack.stop(small) == []


def test_a_taken_port_is_named_with_its_holder_and_is_kept(small: Path) -> None:
    stack.start(small, "valkey")
    env = Directory(small).read_env()
    stack.stop(small)
    port = int(env["SWITCHDESK_REDIS_URL"].rpartition(":")[2].partition("/")[0])
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", port))
        squatter.listen()
        with pytest.raises(PortTaken, match=rf"valkey belongs on 127\.0\.0\.1:{port}.*process {os.getpid()}"):
            stack.start(small, "valkey")
    assert stack.start(small, "valkey") == ["valkey"]
    assert Directory(small).read_env() == env


def test_two_ups_at_once_start_each_server_once(small: Path) -> None:
    started: list[str] = []
    threads = [threading.Thread(target=lambda: started.extend(stack.start(small, SMALL))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(started) == ["models", "valkey"]
    assert len(processes.belonging_to(Directory(small).path)) == 2


def test_an_up_killed_halfway_is_finished_by_the_next(small: Path) -> None:
    home = Directory(small)
    up = subprocess.Popen(
        [sys.executable, "-m", "infra.local.cli", "--dir", str(small), "up", "--only", SMALL],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until(lambda: home.record_file("models").exists())
    up.kill()
    up.wait()
    stack.start(small, SMALL)
    assert len(processes.belonging_to(home.path)) == 2
    assert {part.state for part in stack.status(small, SMALL)} == {stack.State.READY}


def test_a_recycled_process_id_in_a_record_is_not_taken_for_the_server(small: Path) -> None:
    stack.start(small, "valkey")
    home = Directory(small)
    record = home.record("valkey")
    assert record is not None
    stack.stop(small)
    with subprocess.Popen(["sleep", "60"]) as stranger:
        stolen = processes.Process(stranger.pid, record.process.start_time)
        home.keep("valkey", type(record)(stolen, record.port, record.started_at))
        assert states(small, "valkey")["valkey"].state is stack.State.FAILED
        assert stack.stop(small) == []
        assert stranger.poll() is None
        stranger.kill()


def test_servers_whose_folder_was_deleted_are_ended_by_the_next_up_and_by_down(small: Path) -> None:
    stack.start(small, SMALL)
    first = set(processes.belonging_to(Directory(small).path))
    shutil.rmtree(small)
    stack.start(small, SMALL)
    assert first.isdisjoint(processes.belonging_to(Directory(small).path))
    shutil.rmtree(small)
    stack.stop(small)
    assert processes.belonging_to(Directory(small).path) == []


def test_down_works_on_a_damaged_folder(small: Path) -> None:
    stack.start(small, SMALL)
    home = Directory(small)
    home.env_file.write_text("nonsense")
    home.record_file("models").write_text("{")
    done = switchdesk(small, "down")
    assert done.returncode == 0, done.stderr
    assert processes.belonging_to(home.path) == []


def test_a_server_that_dies_at_once_is_reported_with_the_end_of_its_log(small: Path) -> None:
    stack.start(small, "valkey")
    home = Directory(small)
    stack.stop(small)
    shutil.rmtree(home.data("valkey") / "appendonlydir")
    (home.data("valkey") / "appendonlydir").write_text("not a folder")
    failed = switchdesk(small, "up", "--only", SMALL)
    assert failed.returncode == 1
    assert "valkey failed: it ended by itself; its log is" in failed.stderr
    assert "appendonlydir" in failed.stderr
    assert "Traceback" not in failed.stderr
    found = states(small, SMALL)
    assert found["valkey"].state is stack.State.FAILED
    assert found["models"].state is stack.State.READY


def test_another_password_than_the_data_knows_fails_at_once(small: Path) -> None:
    stack.start(small, "postgres")
    stack.stop(small)
    home = Directory(small)
    env = home.read_env()
    secret = env["SWITCHDESK_POSTGRES_URL"].partition("switchdesk:")[2].partition("@")[0]
    home.env_file.write_text(home.env_file.read_text().replace(secret, "0" * 40))
    with pytest.raises(StackError, match="does not take the password") as caught:
        stack.start(small, "postgres")
    assert secret not in str(caught.value)
    assert "0" * 40 not in str(caught.value)


def test_the_demo_desk_keeps_its_secret_out_of_log_and_status(small: Path) -> None:
    stack.start(small, "demo-desk", tickets=1)
    home = Directory(small)
    secret = home.read_env()["SWITCHDESK_ZENDESK_CLIENT_SECRET"]
    kill(home, "demo-desk")
    assert secret not in home.log("demo-desk").read_text()
    assert secret not in states(small, "demo-desk")["demo-desk"].detail


def test_secrets_are_in_no_command_line_and_no_log(stack_directory: Path) -> None:
    home = Directory(stack_directory)
    secrets = set()
    for name, value in home.read_env().items():
        if "PASSWORD" in name or name.endswith("_KEY"):
            secrets.add(value)
        elif "@" in value:
            secrets.add(value.partition("://")[2].rpartition("@")[0].rpartition(":")[2])
    assert len(secrets) >= 6
    for process in processes.belonging_to(home.path):
        line = Path(f"/proc/{process.pid}/cmdline").read_text()
        assert not [secret for secret in secrets if secret in line]
    for log in (home.path / "logs").iterdir():
        text = log.read_text(errors="replace")
        assert not [secret for secret in secrets if secret in text]


def test_the_demo_desk_is_refused_where_a_real_one_is_named(small: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "infra.local.cli", "--dir", str(small), "up", "--only", "demo-desk"],
        capture_output=True,
        text=True,
        env={**os.environ, "SWITCHDESK_ZENDESK_URL": "https://acme.zendesk.com"},
        timeout=60,
    )
    assert done.returncode == 1
    assert "SWITCHDESK_ZENDESK_URL names another help desk" in done.stderr
