"""Small worlds by chance: one seed gives a cluster, a tree of queues and jobs that come and go.

Written as scenarios, so that a failing seed can be printed, made smaller by hand and kept as a case.
"""

import json
from random import Random
from typing import Any

from muster_scheduler.core.scenarios.cases import Case
from muster_scheduler.core.scenarios.document import parse
from muster_scheduler.core.scenarios.doubts import doubts
from muster_scheduler.core.scenarios.reader import read_cases

RACK, ZONE = "rack", "zone"
CLASSES = (("train", 50), ("train", 50), ("interactive-preemptible", 75), ("build", 100), ("inference", 125))


def random_case(seed: int) -> Case:
    """Return the world of a seed."""
    case = read_cases(parse(json.dumps({"scenarios": [document(seed)]}), f"seed {seed}"))[0]
    passed_over = set(case.remarks) - set(doubts(case))  # pods outside of any part are meant to be strange
    assert not passed_over, passed_over  # a field that is passed over would test nothing
    return case


def document(seed: int) -> dict[str, Any]:
    """Return the world of a seed as a scenario file has it."""
    chance = Random(seed)
    queues = _queues(chance)
    steps = [{"jobs": _jobs(chance, step, queues)} for step in range(chance.randint(1, 3))]
    for number, step in enumerate(steps[1:], start=1):
        earlier = [job["name"] for before in steps[:number] for job in before["jobs"]]
        gone = {name for before in steps[1:number] for name in before.get("delete", ())}
        step["delete"] = [name for name in earlier if name not in gone and chance.random() < 0.2]
    nodes = there = _nodes(chance)
    for step in steps[1:]:
        step.update(_changes(chance, there, queues))
        there = [node for node in there if node["name"] not in step["lose_nodes"]]
    return {
        "id": f"seed-{seed}",
        "nodes": nodes,
        "topologies": [{"name": "tree", "levels": [ZONE, RACK]}],
        **queues,
        **steps[0],
        "steps": steps[1:],
        "delay_between_rounds_s": 1,
    }


def _nodes(chance: Random) -> list[dict[str, Any]]:
    width = chance.choice((1, 2, 4, 8))
    return [
        {
            "name": f"node{number}",
            "gpus": chance.choice((0, width, width, width)),
            "cpu_milli": chance.choice((4, 16)),
            "gpu_memory_mib": chance.choice((100, 100, 200)),
            "labels": {ZONE: f"z{number // 3}", RACK: f"r{number // 2}"},
        }
        for number in range(chance.randint(1, 5))
    ]


def _changes(chance: Random, nodes: list[dict[str, Any]], queues: dict[str, Any]) -> dict[str, Any]:
    """Return what becomes of nodes and quotas: nodes are cordoned, opened, lost, or lose a device; quotas change."""
    lost = [node["name"] for node in nodes if chance.random() < 0.1]
    changed = [node for node in nodes if node["name"] not in lost and chance.random() < 0.2]
    return {
        "nodes": [
            {**node, "unschedulable": chance.random() < 0.5, "gpus": max(0, node["gpus"] - chance.choice((0, 0, 1)))}
            for node in changed
        ],
        "lose_nodes": lost,
        "queues": [{**_quota(chance), "name": queue["name"]} for queue in queues["queues"] if chance.random() < 0.2],
    }


def _queues(chance: Random) -> dict[str, Any]:
    names = [f"d{number}" for number in range(chance.randint(1, 3))]
    departments = [{**_quota(chance, 6), "name": name} for name in names]
    if len(names) > 2:
        departments[2]["parent"] = names[1]
    queues = [{**_quota(chance), "name": f"q{n}", "parent": chance.choice(names)} for n in range(chance.randint(1, 4))]
    return {"departments": departments, "queues": queues}


def _quota(chance: Random, most: int = 4) -> dict[str, Any]:
    deserved = chance.randint(0, most)
    quota = {
        "deserved_gpus": chance.choice((deserved, deserved, deserved, "unlimited")),
        "over_quota_weight": chance.randint(0, 3),
        "priority": chance.choice((100, 100, 100, 101)),
    }
    if chance.random() < 0.2:
        quota["max_allowed_gpus"] = deserved + chance.randint(1, 3)
    if chance.random() < 0.2:
        quota["deserved_cpu_milli"] = chance.choice((0, 2000, 6000))
    return quota


def _jobs(chance: Random, step: int, queues: dict[str, Any]) -> list[dict[str, Any]]:
    names = [queue["name"] for queue in queues["queues"]]
    jobs = [_job(chance, f"job{step}-{n}", chance.choice(names)) for n in range(chance.randint(1, 6))]
    return sorted(jobs, key=lambda job: -job["priority"])


def _job(chance: Random, name: str, queue: str) -> dict[str, Any]:
    priority_class, priority = chance.choice(CLASSES)
    tasks = chance.choice((1, 1, 1, 2, 3, 4))
    job: dict[str, Any] = {
        "name": name,
        "queue": queue,
        "priority_class": priority_class,
        "priority": priority,
        "min_available": chance.choice((1, tasks, tasks)),
        "cpu_per_task_milli": chance.choice((0, 0, 1, 3)),
        "tasks": [{"state": "Pending", "order_priority": chance.randint(0, 2)} for _ in range(tasks)],
        **_gpus(chance),
    }
    if chance.random() < 0.15:
        job["preemptible"] = chance.random() < 0.5
    if chance.random() < 0.2:
        level = chance.choice(({"required_level": RACK}, {"preferred_level": RACK}, {"required_level": ZONE}))
        job["sub_groups"] = {"name": "root", "topology_constraint": {"topology": "tree", **level}}
    elif tasks > 1 and chance.random() < 0.3:
        job |= _parts(chance, job["tasks"])
    return job


def _gpus(chance: Random) -> dict[str, Any]:
    if chance.random() < 0.1:
        return {"gpus_per_task": 0, "gpu_memory_per_task": chance.choice((20, 50, 90))}
    return {"gpus_per_task": chance.choice((0, 0.3, 0.5, 0.7, 1, 1, 1, 2, 4))}


def _parts(chance: Random, tasks: list[dict[str, Any]]) -> dict[str, Any]:
    for number, task in enumerate(tasks):
        task["sub_group"] = f"part{number % 2}" if number < 3 else ""
    parts = [{"name": "part0", "min_available": 1}, {"name": "part1", "min_available": 1}]
    root: dict[str, Any] = {"name": "root", "pod_sets": parts}
    if chance.random() < 0.3:
        root["min_sub_groups"] = 1
    return {"min_available": "per sub_group", "sub_groups": root}
