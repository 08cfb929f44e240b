"""All subjects."""

from infra.local.desk.topics import app
from infra.local.desk.topics.topic import Topic

TOPICS: tuple[Topic, ...] = app.TOPICS
BY_NAME = {topic.name: topic for topic in TOPICS}
