"""Other transports, each used the way its documentation recommends for speed, with one copy in and one out."""

from __future__ import annotations

import ctypes
import multiprocessing as mp
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from hop_endpoints import Endpoint, Frame, Session

# Peers are imported where used: hop_endpoints.load has said before whether they can be.


class Pyshmem(Endpoint):
    """Two latest-value streams; ``notify`` wakes by futex, without it the reader polls."""

    notify = True

    def __init__(self, s: Session) -> None:
        import pyshmem

        there, back = f"{s.name}_there", f"{s.name}_back"
        self.owner = s.first
        if s.first:
            self.to, self.source = (
                pyshmem.create(n, shape=s.shape, dtype=np.float32, notify=self.notify) for n in (there, back)
            )
        else:
            self.source, self.to = pyshmem.open(there), pyshmem.open(back)
        self.count = self.source.count

    def send(self, frame: Frame) -> None:
        self.to.write(frame)

    def receive(self, out: Frame) -> Frame:
        self.source.read_after(self.count, timeout=20.0, out=out)
        self.count = self.source.last_read_count
        return out

    def close(self) -> None:
        for stream in (self.to, self.source):
            if self.owner:
                stream.unlink()
            stream.close()


class PyshmemPolling(Pyshmem):
    """pyshmem as its default makes streams."""

    notify = False


class Zmq(Endpoint):
    """ZeroMQ over ipc: a PAIR, or PUB and SUB for several readers."""

    def __init__(self, s: Session) -> None:
        import zmq

        address = f"ipc://{os.environ['MILK_SHM_DIR']}/zmq"
        self.context = zmq.Context()
        if s.task == "pingpong":
            self.socket = self.context.socket(zmq.PAIR)
        else:
            self.socket = self.context.socket(zmq.PUB if s.first else zmq.SUB)
            if not s.first:
                self.socket.setsockopt(zmq.SUBSCRIBE, b"")
        self.socket.setsockopt(zmq.RCVTIMEO, 20000)
        if s.first:
            self.socket.bind(address)
        else:
            self.socket.connect(address)
            time.sleep(0.2)  # a subscription made later than the first frame would miss it

    def send(self, frame: Frame) -> None:
        self.socket.send(frame, copy=True)

    def receive(self, out: Frame) -> Frame:
        message = self.socket.recv(copy=False)
        np.copyto(out, np.frombuffer(message.buffer, np.float32).reshape(out.shape))
        return out

    def close(self) -> None:
        self.socket.close(linger=0)
        self.context.term()


class Iceoryx2(Endpoint):
    """Publish-subscribe with loaned samples; asleep by its event service, spinning by polling the subscriber."""

    def __init__(self, s: Session) -> None:
        import iceoryx2 as iox2

        iox2.set_log_level(iox2.LogLevel.Fatal)
        self.spin, self.bytes = s.spin, s.bytes
        self.node = iox2.NodeBuilder.new().create(iox2.ServiceType.Ipc)
        names = [f"{s.name}/{x}" for x in ("there", "back")]
        mine, theirs = names if s.first else names[::-1]
        self.publisher, self.notifier = self._output(iox2, mine)
        self.subscriber, self.listener = self._input(iox2, theirs)
        self.timeout = iox2.Duration.from_secs(20)

    def _services(self, iox2: Any, name: str) -> tuple[Any, Any]:
        service = self.node.service_builder(iox2.ServiceName.new(name))
        data = service.publish_subscribe(iox2.Slice[ctypes.c_uint8]).max_subscribers(16).max_publishers(16)
        data = data.max_nodes(32).open_or_create()
        service = self.node.service_builder(iox2.ServiceName.new(name + "/event"))
        return data, service.event().max_listeners(16).max_notifiers(16).max_nodes(32).open_or_create()

    def _output(self, iox2: Any, name: str) -> tuple[Any, Any]:
        data, event = self._services(iox2, name)
        publisher = data.publisher_builder().initial_max_slice_len(self.bytes).create()
        return publisher, event.notifier_builder().create()

    def _input(self, iox2: Any, name: str) -> tuple[Any, Any]:
        data, event = self._services(iox2, name)
        return data.subscriber_builder().create(), event.listener_builder().create()

    def send(self, frame: Frame) -> None:
        sample = self.publisher.loan_slice_uninit(self.bytes)
        ctypes.memmove(sample.payload_ptr, frame.ctypes.data, self.bytes)
        sample.assume_init().send()
        if not self.spin:
            self.notifier.notify()

    def receive(self, out: Frame) -> Frame:
        sample = self.subscriber.receive()
        while sample is None:
            if not self.spin:
                self.listener.timed_wait(self.timeout)
            sample = self.subscriber.receive()
        ctypes.memmove(out.ctypes.data, sample.payload_ptr, self.bytes)
        sample.delete()
        return out


class MpPipe(Endpoint):
    """multiprocessing.Pipe with the arrays' bytes."""

    def __init__(self, s: Session, connection: Any = None) -> None:
        self.connection = connection
        if connection is None:
            self.connection, there = mp.Pipe()
            self.others = [MpPipe(s, there)]

    def send(self, frame: Frame) -> None:
        self.connection.send_bytes(frame)

    def receive(self, out: Frame) -> Frame:
        self.connection.recv_bytes_into(out.data.cast("B"))
        return out


class MpQueue(Endpoint):
    """multiprocessing.Queue, which pickles the arrays."""

    to: Any
    source: Any

    def __init__(self, s: Session, queues: Any = None) -> None:
        if queues is None:
            self.to, self.source = mp.Queue(), mp.Queue()
            self.others = [MpQueue(s, (self.to, self.source))]
        else:
            self.source, self.to = queues

    def send(self, frame: Frame) -> None:
        self.to.put(frame)

    def receive(self, out: Frame) -> Frame:
        np.copyto(out, self.source.get(timeout=20))
        return out

    def close(self) -> None:
        self.to.close()
        self.to.join_thread()  # its thread may still be sending the last frame


class MpShmSemaphore(Endpoint):
    """What one writes by hand: anonymous shared memory and semaphores of multiprocessing."""

    def __init__(self, s: Session, parts: Any = None) -> None:
        if parts is None:
            arrays = [np.frombuffer(mp.RawArray("b", s.bytes), np.float32).reshape(s.shape) for _ in range(2)]
            wakes, back = [mp.Semaphore(0) for _ in range(s.readers)], mp.Semaphore(0)
            self.to, self.wakes, self.source, self.woken = arrays[0], wakes, arrays[1], back
            self.others = [MpShmSemaphore(s, (arrays[1], [back], arrays[0], wake)) for wake in wakes]
        else:
            self.to, self.wakes, self.source, self.woken = parts

    def send(self, frame: Frame) -> None:
        np.copyto(self.to, frame)
        for wake in self.wakes:
            wake.release()

    def receive(self, out: Frame) -> Frame:
        self.woken.acquire()
        np.copyto(out, self.source)
        return out


KINDS: dict[str, Callable[[Session], Endpoint]] = {
    "pyshmem": Pyshmem,
    "pyshmem-polling": PyshmemPolling,
    "zmq": Zmq,
    "iceoryx2": Iceoryx2,
    "mp-pipe": MpPipe,
    "mp-queue": MpQueue,
    "mp-shm-semaphore": MpShmSemaphore,
}
