"""All subjects."""

from infra.local.desk.topics import app, billing, camera, hub, shop
from infra.local.desk.topics.topic import Topic

TOPICS: tuple[Topic, ...] = app.TOPICS + hub.TOPICS + camera.TOPICS + billing.TOPICS + shop.TOPICS
BY_NAME = {topic.name: topic for topic in TOPICS}
