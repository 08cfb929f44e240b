"""Apache Kafka in KRaft mode: one broker that is its own controller."""

import base64
import shutil
import subprocess
import uuid
from collections.abc import Callable

from infra.local.errors import StartFailed
from infra.local.parts import java
from infra.local.parts.part import Choices, Launch, NotAnswering, Part, Place

# A record is gone within 72 hours: a segment holds an hour at most and goes 71 hours after its newest record.
_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
log.retention.hours=71
log.roll.hours=1
log.segment.bytes=67108864
log.cleaner.dedupe.buffer.size=8388608
message.max.bytes=5242880
num.network.threads=2
num.io.threads=2
"""
_LOG4J = """\
status = warn
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d %-5p %c{1} - %m%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
"""


class Kafka(Part):
    """The event log between Zendesk and PostgreSQL."""

    name = "kafka"

    def choose(self, choices: Choices) -> None:
        """One port for clients, one for the controller."""
        choices.keep("SWITCHDESK_KAFKA_BOOTSTRAP", lambda: f"127.0.0.1:{choices.port()}")
        choices.keep("SWITCHDESK_KAFKA_CONTROLLER", lambda: f"127.0.0.1:{choices.port()}")

    def port(self, place: Place) -> int:
        """The clients' port."""
        return place.port_of("SWITCHDESK_KAFKA_BOOTSTRAP")

    def ports(self, place: Place) -> list[int]:
        """The clients' port and the controller's."""
        return [self.port(place), place.port_of("SWITCHDESK_KAFKA_CONTROLLER")]

    def lay_out(self, place: Place, say: Callable[[str], None]) -> None:
        """Format the log folder once, complete or not at all; write the configuration anew."""
        java.fetch_jars(self.name, place, say)
        home = place.directory.data(self.name)
        home.mkdir(mode=0o700, exist_ok=True)
        (home / "log4j2.properties").write_text(_LOG4J)
        controller = place.env["SWITCHDESK_KAFKA_CONTROLLER"]
        client = place.env["SWITCHDESK_KAFKA_BOOTSTRAP"]
        properties = _PROPERTIES + (
            f"controller.quorum.bootstrap.servers={controller}\n"
            f"listeners=PLAINTEXT://{client},CONTROLLER://{controller}\n"
            f"advertised.listeners=PLAINTEXT://{client},CONTROLLER://{controller}\n"
        )
        if not (home / "log").exists():
            say("formatting the log")
            shutil.rmtree(home / "log.new", ignore_errors=True)
            (home / "format.properties").write_text(f"{properties}log.dirs={home / 'log.new'}\n")
            self._format(place, _cluster_id())
            (home / "log.new").rename(home / "log")
            (home / "format.properties").unlink()
        (home / "server.properties").write_text(f"{properties}log.dirs={home / 'log'}\n")

    def _format(self, place: Place, identity: str) -> None:
        home = place.directory.data(self.name)
        arguments = ["format", "--standalone", "--cluster-id", identity, "--config", str(home / "format.properties")]
        log = place.directory.log(self.name)
        with log.open("a") as output:
            done = subprocess.run(
                [*self._java(place, "-Xmx128m"), "kafka.tools.StorageTool", *arguments], stdout=output, stderr=output
            )
        if done.returncode:
            raise StartFailed(
                f"kafka not created: StorageTool failed; its output is in {log}; "
                "see its last lines, then run `switchdesk up` again"
            )

    def _java(self, place: Place, *flags: str) -> list[str]:
        logging = f"-Dlog4j2.configurationFile={place.directory.data(self.name) / 'log4j2.properties'}"
        return [java.java(), *flags, *java.FLAGS, logging, "-cp", java.class_path(self.name, place)]

    def launch(self, place: Place) -> Launch:
        """The server in the foreground."""
        properties = place.directory.data(self.name) / "server.properties"
        return Launch([*self._java(place, "-Xms96m", "-Xmx384m"), "kafka.Kafka", str(properties)])

    def answer(self, place: Place) -> str:
        """Ask for the cluster's metadata, and for its controller, which must be elected to serve."""
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        client = AdminClient(
            {
                "bootstrap.servers": place.env["SWITCHDESK_KAFKA_BOOTSTRAP"],
                "socket.connection.setup.timeout.ms": 3000,
                "log_level": 0,
            }
        )
        try:
            metadata = client.list_topics(timeout=3)
        except KafkaException as error:
            raise NotAnswering(str(error.args[0].str())) from None
        if not metadata.brokers:
            raise NotAnswering("the broker has not joined its cluster yet")
        return f"Kafka {_version()}, {len(metadata.topics)} topics"


def _version() -> str:
    from infra.local import jars

    return next(jar.coordinate for jar in jars.listed("kafka") if ":kafka_2.13:" in jar.coordinate).rpartition(":")[2]


def _cluster_id() -> str:
    """A random id as Kafka writes its own; never with a leading `-`, which StorageTool takes for an option."""
    drawn = uuid.uuid4().bytes
    return base64.urlsafe_b64encode(bytes([drawn[0] & 0x7F]) + drawn[1:]).decode().rstrip("=")
