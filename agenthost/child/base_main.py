"""The base template: `python -m agenthost.child.base_main`, exec'd once by the host, from its main thread.

Imports livekit.rtc (with this module) and the modules of `preload` once for all agents, then forks agent templates and
nothing else.
It has one thread (OPENBLAS_NUM_THREADS=1 keeps numpy from starting its pool; asserted before the first fork). Where
every interpreter has more from its start on (`sitecustomize`, a profiler, a debugger), it says so and ends: there
processes are spawned.

While it imports it dies with the host by PDEATHSIG, since it hears nothing; from then on by the end of its socket,
because it still has to kill what the host left behind.
"""

import argparse
import gc
import importlib
import socket
import sys
import time

from agenthost import kernel
from agenthost.child.bytecode import write_no_bytecode_of_users
from agenthost.child.fork_server import ForkServer
from agenthost.child.native_library import map_native_library
from agenthost.child.process_setup import Descriptors, print_at_once, reset_signals, show_arguments, stand_alone
from agenthost.child.rehearsal import warm_up
from agenthost.child.template_main import run_template
from agenthost.child.thread_watch import ThreadWatch
from agenthost.child.user_errors import describe_failure
from agenthost.child.user_modules import user_modules
from agenthost.errors import EntrypointError
from agenthost.ipc.messages import PACKET_BYTES, BaseSpec, ForkProcess, TemplateReady, decode, encode

CONTROL_FD = 3


def main() -> int:
    arguments = _parse()
    show_arguments("", ())
    stand_alone()
    kernel.limit_open_files(arguments.open_files)
    reset_signals()
    print_at_once()
    kernel.line_buffer_native_output()
    control = socket.socket(fileno=CONTROL_FD)
    control.set_inheritable(False)
    began = time.monotonic()
    watch = ThreadWatch()
    from_the_start = watch.culprits()
    try:
        _prepare_for_all()
        warm = time.monotonic()
        spec = _receive_spec(control)
        if spec is None:
            return 0
        kernel.forget_variables(spec.forget)
        began += time.monotonic() - warm  # the host is busy with other things, a LiveKit server to be built among them
        if from_the_start:
            control.send(encode(TemplateReady(pid=0, import_seconds=0.0, threads=from_the_start)))
            return 0
        with watch:
            _preload(spec)
        _check_threads(watch)
    except BaseException as error:
        control.send(encode(describe_failure("preload", error)))
        return 1
    gc.collect()
    gc.freeze()
    kernel.outlive_parent()

    def run(_: ForkProcess, descriptors: Descriptors) -> int:
        return run_template(descriptors, host_pid=arguments.host_pid, host_id=arguments.host_id)

    server = ForkServer(control, host_pid=arguments.host_pid, host_id=arguments.host_id, run=run)
    server.report(TemplateReady(pid=0, import_seconds=time.monotonic() - began, modules=user_modules()))
    return server.serve()


def _check_threads(watch: ThreadWatch) -> None:
    if culprits := watch.culprits():
        found = "; ".join(culprits)
        raise EntrypointError(f"preload may not start threads: the base template forks. Found {found}")


def _prepare_for_all() -> None:
    map_native_library()
    warm_up()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host-pid", type=int, required=True)
    parser.add_argument("--host-id", required=True)
    parser.add_argument("--open-files", type=int, required=True)
    return parser.parse_args()


def _receive_spec(control: socket.socket) -> BaseSpec | None:
    """What the file says about the base; None when the host ended before it knew (its file is wrong)."""
    packet = control.recv(PACKET_BYTES)
    if not packet:
        return None
    spec = decode(packet)
    assert isinstance(spec, BaseSpec)
    return spec


def _preload(spec: BaseSpec) -> None:
    sys.path[:0] = spec.path
    write_no_bytecode_of_users()
    for module in spec.preload:
        importlib.import_module(module)


if __name__ == "__main__":
    sys.exit(main())
