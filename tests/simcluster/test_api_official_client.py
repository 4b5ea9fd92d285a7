"""The official Kubernetes client for Python against the server, unchanged."""

import asyncio

import pytest
from kubernetes.aio import client, config, watch
from kubernetes.aio.client.exceptions import ApiException


async def test_the_official_client_creates_lists_watches_and_deletes(server, api):
    await config.load_kube_config(str(server.kubeconfig))
    async with client.ApiClient() as connection:
        core = client.CoreV1Api(connection)
        pod = client.V1Pod(
            metadata=client.V1ObjectMeta(generate_name="p-"),
            spec=client.V1PodSpec(
                scheduler_name="nobody", containers=[client.V1Container(name="main", image="train:1")]
            ),
        )
        made = await core.create_namespaced_pod(api.namespace, pod)
        listed = await core.list_namespaced_pod(api.namespace, limit=1)
        assert [each.metadata.uid for each in listed.items] == [made.metadata.uid]
        patch = {"metadata": {"labels": {"a": "b"}}}
        patched = await core.patch_namespaced_pod(made.metadata.name, api.namespace, patch)
        assert patched.metadata.labels == {"a": "b"}
        await core.delete_namespaced_pod(made.metadata.name, api.namespace)
        seen = []
        async with asyncio.timeout(20), watch.Watch() as following:
            version = listed.metadata.resource_version
            stream = following.stream(core.list_namespaced_pod, api.namespace, resource_version=version)
            async for event in stream:
                seen.append(event["type"])
                if seen[-1] == "DELETED":
                    break
        assert seen == ["MODIFIED", "DELETED"]


async def test_a_refusal_reaches_the_official_client_as_its_exception(server, api):
    await config.load_kube_config(str(server.kubeconfig))
    async with client.ApiClient() as connection:
        core = client.CoreV1Api(connection)
        with pytest.raises(ApiException) as refused:
            await core.read_namespaced_pod("missing", api.namespace)
        assert refused.value.status == 404


async def test_batch_and_scale_work_through_the_official_client(server, api):
    await config.load_kube_config(str(server.kubeconfig))
    async with client.ApiClient() as connection:
        apps = client.AppsV1Api(connection)
        labels = {"app": "d"}
        container = client.V1Container(name="main", image="web:1")
        template = client.V1PodTemplateSpec(
            metadata=client.V1ObjectMeta(labels=labels),
            spec=client.V1PodSpec(scheduler_name="nobody", containers=[container]),
        )
        spec = client.V1DeploymentSpec(selector=client.V1LabelSelector(match_labels=labels), template=template)
        body = client.V1Deployment(metadata=client.V1ObjectMeta(name="d"), spec=spec)
        await apps.create_namespaced_deployment(api.namespace, body)
        scale = {"spec": {"replicas": 3}}
        scaled = await apps.patch_namespaced_deployment_scale("d", api.namespace, scale)
        assert scaled.spec.replicas == 3
