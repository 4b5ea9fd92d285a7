#!/bin/sh
# Makes the node of k3s one with GPUs, and hands the services a kubeconfig that works from their containers.
#
# No device plugin runs here, so the GPUs are announced by patching the node's status; the kubelet forgets them when it
# starts again, so they are looked after for as long as this runs. Containers get no device: what asks for a GPU is
# placed and started, and that is all.
set -eu

gpus="${K3S_GPUS}"
patch="{\"status\":{\"capacity\":{\"nvidia.com/gpu\":\"${gpus}\"},\"allocatable\":{\"nvidia.com/gpu\":\"${gpus}\"}}}"
export KUBECONFIG=/access/kubeconfig

# As k3s wrote it, it names the loopback address of k3s' own container. The services read it under another user.
sed 's#https://127.0.0.1:6443#https://k3s:6443#' /output/kubeconfig > /access/kubeconfig.new
chmod 0644 /access/kubeconfig.new
mv /access/kubeconfig.new /access/kubeconfig

while true; do
    for node in $(kubectl get nodes --output name); do
        announced="$(kubectl get "$node" --output 'jsonpath={.status.allocatable.nvidia\.com/gpu}')"
        if [ "$announced" != "$gpus" ]; then
            kubectl patch "$node" --subresource status --type merge --patch "$patch"
        fi
    done
    sleep 10
done
