"""Administration, and watches."""

from __future__ import annotations

import fluvio
from fluvio import CommonCreateRequest, CompressionType, FluvioAdmin, FluvioConfig, PartitionMap, TopicSpec
from told import leave, say, tell, topic

admin = FluvioAdmin.connect()
FluvioAdmin.connect_with_config(FluvioConfig.load())
names = [topic(number) for number in range(10, 19)]
one, three, other = names[:3]


def partitions(name: str) -> int:
    return sum(each.name().rpartition("-")[0] == name for each in admin.list_partitions([]))


tell("create", lambda: admin.create_topic(one))
spec = TopicSpec.create().with_partitions(3).with_segment_size("10M").with_max_partition_size("1Gb")
tell("create with a spec", lambda: admin.create_topic(three, spec.with_retention_time(3600).build()))
tell("its partitions", lambda: partitions(three))
tell("a mirror", lambda: admin.create_topic(other, TopicSpec.create().as_mirror_topic().build()))
tell("one of the cluster's own", lambda: admin.create_topic(names[3], TopicSpec.create().as_system_topic().build()))
tell("an empty assignment", lambda: admin.create_topic(names[4], TopicSpec.create().with_assignment([]).build()))

# Bugs of the old package, which are not copied.
tell("with a retention as text", lambda: bool(TopicSpec.create().with_retention_time("1h").build()))
tell("with a compression", lambda: bool(TopicSpec.create().with_compression(CompressionType.GZIP).build()))
tell("with an assignment", lambda: bool(TopicSpec.create().with_assignment([PartitionMap.new(0, [5001])]).build()))
tell("new", lambda: TopicSpec.new(2).mode == fluvio.TopicMode.COMPUTED)
request = CommonCreateRequest.new(names[5], False, 10_000)
tell("with a request", lambda: admin.create_topic_with_config(names[5], request, TopicSpec.create().build()))


def ours(found: list[fluvio.MetadataTopicSpec]) -> list[int]:
    return sorted(names.index(each.name()) for each in found if each.name() in names[:5])


tell("all", lambda: ours(admin.all_topics()))
tell("listed", lambda: ours(admin.list_topics([])))
tell("by name", lambda: ours(admin.list_topics([three])))
tell("by parts of names", lambda: ours(admin.list_topics([one[1:], three[2:]])))
tell("by none", lambda: ours(admin.list_topics(["missing"])))
tell("in short", lambda: ours(admin.list_topics_with_params([one], True)))
tell("partitions take no filter", lambda: len(admin.list_partitions([])) == len(admin.list_partitions(["missing"])))

# A watch tells all first, and then what changes.
watch = admin.watch_topic()
update = next(watch)
tell("first all", lambda: ours(update.all()))
tell("and no changes", update.changes)
tell("epoch", lambda: isinstance(update.epoch(), int))
admin.delete_topic(one)
deleted, epochs = False, [update.epoch()]
while not deleted:
    update = next(watch)
    epochs.append(update.epoch())
    messages = [each for each in update.changes() if each.metadata_topic_spec().name() == one]
    deleted = any(each.is_delete() for each in messages)
    if update.all() or any(each.is_delete() == each.is_update() for each in messages):
        say("watch", "is wrong")
tell("then what changes", lambda: deleted)
tell("epochs rise", lambda: epochs == sorted(set(epochs)))
tell("gone", lambda: ours(admin.list_topics([one])))

# SmartModules. The test has written the file.
path = str(__import__("sys").argv[2])
module = topic(20)
tell("create a SmartModule", lambda: admin.create_smartmodule(module, path, False))
tell("its name", lambda: [each.name() == module for each in admin.list_smartmodules([module])])
modules = admin.watch_smartmodule()
tell("watched", lambda: module in [each.name() for each in next(modules).all()])
tell("delete it", lambda: admin.delete_smartmodule(module))
tell("it is gone", lambda: admin.list_smartmodules([module]))
for name in names[1:3] + names[4:5]:
    admin.delete_topic(name)
leave()
