#!/usr/bin/env bash
# A SLURM cluster of one node on the loopback, with two made-up GPUs, for the tests of the slurm profile. As root.
#
#   cluster.sh start FOLDER   everything lies in FOLDER, but for a link from /etc/slurm
#   cluster.sh stop FOLDER
#
# Needs Debian's packages slurm-wlm and munge. There is no accounting database, hence no sacct.
set -euo pipefail

action=$1
mkdir -p "$2"
folder=$(cd "$2" && pwd)
# Where SLURM looks unasked: jobs lose the variable SLURM_CONF.
configuration=/etc/slurm/slurm.conf

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

write_configuration() {
    local memory
    memory=$(awk '/MemTotal/ {print int($2 / 1024 * 0.9)}' /proc/meminfo)
    cat >"$folder/slurm.conf" <<CONF
ClusterName=loopback
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=$(free_port)
SlurmdPort=$(free_port)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
CryptoType=crypto/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
# A job step that has more memory than its job asked for is killed, by SLURM itself, as there may be no cgroups.
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1
GresTypes=gpu
JobRequeue=1
MinJobAge=3600
KillWait=10
ReturnToService=2
# More CPUs than the machine may have, so that every rule fits.
SlurmdParameters=config_overrides
NodeName=node1 NodeHostname=$(hostname -s) NodeAddr=127.0.0.1 CPUs=16 RealMemory=$memory Gres=gpu:2 State=UNKNOWN
PartitionName=main Nodes=node1 Default=YES MaxTime=1-0 State=UP OverTimeLimit=10
CONF
    touch "$folder/gpu0" "$folder/gpu1"
    echo "NodeName=node1 Name=gpu File=$folder/gpu[0-1]" >"$folder/gres.conf"
    echo "CgroupAutomount=no" >"$folder/cgroup.conf"
}

start() {
    # What a cluster of this script left that was killed, not stopped; the key beside it tells it from others. A link
    # whose folder is gone belongs to nobody.
    local former
    former=$(dirname "$(readlink "$configuration" || echo "$configuration")")
    if { [ -f "$former/munge.key" ] || { [ -L "$configuration" ] && [ ! -d "$former" ]; }; } &&
        ! scontrol ping 2>/dev/null | grep -q UP; then
        rm -f /etc/slurm/slurm.conf /etc/slurm/gres.conf /etc/slurm/cgroup.conf
    fi
    if [ -e "$configuration" ] || [ -L "$configuration" ]; then
        echo "$configuration exists: this machine belongs to a cluster already" >&2
        exit 1
    fi
    mkdir -p "$folder/state" "$folder/spool"
    chmod 755 "$folder"
    write_configuration
    for file in slurm gres cgroup; do
        ln -s "$folder/$file.conf" "/etc/slurm/$file.conf"
    done
    dd if=/dev/urandom of="$folder/munge.key" bs=1024 count=1 status=none
    chmod 400 "$folder/munge.key"
    munged --force --key-file="$folder/munge.key" --socket="$folder/munge.socket" --pid-file="$folder/munged.pid" \
        --log-file="$folder/munged.log" --seed-file="$folder/munged.seed"
    slurmctld
    slurmd -N node1
    for _ in $(seq 60); do
        if [ "$(sinfo --noheader --format=%T 2>/dev/null)" = idle ]; then
            return
        fi
        sleep 0.5
    done
    tail -n 20 "$folder/slurmctld.log" "$folder/slurmd.log" >&2 || true
    echo "$folder: the node did not become idle" >&2
    exit 1
}

stop() {
    scancel --user=root 2>/dev/null || true
    for daemon in slurmd slurmctld munged; do
        if [ -f "$folder/$daemon.pid" ]; then
            kill "$(cat "$folder/$daemon.pid")" 2>/dev/null || true
        fi
    done
    for file in slurm gres cgroup; do
        if [ "$(readlink "/etc/slurm/$file.conf")" = "$folder/$file.conf" ]; then
            rm "/etc/slurm/$file.conf"
        fi
    done
}

"$action"
