"""A script as people write them for DAO; its import is the only line that was changed."""

import threading

import numpy as np

from framebus.compat import dao  # was: import dao

# -- shm
slopes_shm = dao.shm("/tmp/tutorialSlopes.im.shm", np.zeros((80, 1), np.float32), depth=8)
matrix_shm = dao.shm("/tmp/tutorialMatrix.im.shm", np.full((40, 80), 0.0125, np.float32))
commands_shm = dao.shm("/tmp/tutorialCommands.im.shm", np.zeros((40, 1), np.float32))
# -- end of shm

over = threading.Event()


def sense() -> None:
    """A wavefront sensor, as another process would have it."""
    sensor = dao.shm("/tmp/tutorialSlopes.im.shm")
    while not over.wait(0.001):
        sensor.set_data(np.full((80, 1), sensor.get_counter(), np.float32))


sensing = threading.Thread(target=sense)
sensing.start()

# -- loop
matrix = matrix_shm.get_data()
counter = matrix_shm.get_counter()
for _ in range(50):
    slopes = slopes_shm.get_data(check=True, semNb=1)
    commands_shm.set_data(np.matmul(matrix, slopes))
    if matrix_shm.get_counter() != counter:
        matrix, counter = matrix_shm.get_data(), matrix_shm.get_counter()
print("commands:", commands_shm.get_counter(), "at", commands_shm.get_timestamp())
# -- end of loop

# -- fifo
reader = dao.shm("/tmp/tutorialSlopes.im.shm")
for _ in range(10):
    status, slopes = reader.get_data_next(wait=True)
    if status == dao.shm.DAO_OVERWRITE:
        print("frames were lost: the reader is too slow")
history = reader.get_history(4)
print("history:", history.shape, np.diff(history[:, 0, 0]))
# -- end of fifo


# -- component
class Corrector(dao.daoComponent):
    """Multiplies slopes with a matrix that may change meanwhile."""

    def load_static_config(self) -> None:
        """Open what is read and written."""
        self.slopes = dao.shm("/tmp/tutorialSlopes.im.shm")
        self.commands = dao.shm("/tmp/tutorialCommands.im.shm")
        self.matrix = dao.DoubleBuffer()
        self.add_update_map(dao.shm("/tmp/tutorialMatrix.im.shm"), self.matrix)

    def processingThread(self) -> None:  # noqa: N802
        """Correct, until told to rest."""
        while not self.procThreadStop.is_set():
            slopes = self.slopes.get_data(check=True, timeout=0.5)
            self.commands.set_data(np.matmul(self.matrix.read(), slopes))


corrector = Corrector(name="corrector")  # framebus ps, framebus send corrector idle
before = commands_shm.get_counter()
while commands_shm.get_counter() < before + 10:
    commands_shm.get_data(check=True)
corrector.StopRun()
print("corrector:", corrector.current_state.name)
corrector.stop()
# -- end of component

over.set()
sensing.join()
for shm in (slopes_shm, matrix_shm, commands_shm):
    shm.stream.remove()  # DAO leaves its files in /tmp
