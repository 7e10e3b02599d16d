"""Machine code of a kernel as a block of bytes, and back to an address that can be called.

Numba hands over LLVM's optimised form of the whole kernel. Here everything but its entry is made private,
so that no two kernels can meet in a name, and it becomes an object file that is loaded into an engine of
its own. A kernel out of the cache and one just compiled are loaded the same way.
"""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from typing import Any

import llvmlite.binding as llvm
from numba.core.registry import cpu_target
from numba.core.runtime.nrt import rtsys

_ENGINES: list[Any] = []
"""Engines own the memory of their code; they are kept, for a loop may run it until the process ends."""

# Linear algebra that Numba finds in SciPy when it is first called; the import has to be over by the first frame.
_BLAS = ("numba_xx", "numba_xgesv", "numba_ez", "numba_raw")


@dataclass(frozen=True)
class ObjectCode:
    """An object file: its bytes, the symbol to call and those that it needs from the process."""

    entry: str
    externals: tuple[str, ...]
    data: bytes


# A function that calls itself, directly or by way of others, is called through such a variable, which Numba's own
# engine fills in.
_RECURSIVE = re.compile(r'^(@"?\.numba\.unresolved\$([^"\s]+)"?) = external .*$', re.MULTILINE)


def processor() -> tuple[str, str, str]:
    """What code is made for: target triple, CPU name, CPU features."""
    triple, name, features = cpu_target.target_context.codegen().magic_tuple()
    return str(triple), str(name), str(features)


def _machine() -> Any:
    triple, name, features = processor()
    target = llvm.Target.from_triple(triple)
    return target.create_target_machine(cpu=name, features=features, opt=3, codemodel="jitdefault", jit=True)


def emit(assembly: str, entry: str, symbol: str) -> ObjectCode:
    """Object code of an optimised LLVM module, its function ``entry`` renamed to ``symbol``."""
    module = llvm.parse_assembly(_keep_whole_stores(_resolve_recursion(assembly)))
    for item in (*module.functions, *module.global_variables):
        if item.name == entry:
            item.name = symbol
        elif not item.is_declaration:
            item.linkage = "internal"
    machine = _machine()
    passes = llvm.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(module, llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3)))
    needed = (item.name for item in (*module.functions, *module.global_variables) if item.is_declaration)
    externals = tuple(sorted(name for name in needed if not name.startswith("llvm.")))
    return ObjectCode(symbol, externals, machine.emit_object(module))


def _resolve_recursion(assembly: str) -> str:
    """Let functions that call themselves do so directly; those that Numba put elsewhere stay external."""
    here = set(re.findall(r'^define .*?@"?([^"\s(]+)"?\(', assembly, re.MULTILINE))

    def resolve(found: re.Match[str]) -> str:
        return f'{found[1]} = internal constant ptr @"{found[2]}"' if found[2] in here else found[0]

    return _RECURSIVE.sub(resolve, assembly)


_VECTOR_SELECT = re.compile(r"(%\S+) = select (?:\w+ )*<\d+ x i1>")
_VECTOR_STORE = re.compile(r"\bstore (<\d+ x \w+> (%[^\s,]+),)")


def _keep_whole_stores(assembly: str) -> str:
    """Let ``out[i] = new if good else out[i]`` be stored whole.

    LLVM would make a masked store of it, which writes some of a vector's elements: AMD's processors take ten times as
    long for that as for a blend and a whole store. It leaves a volatile store alone, whose instruction is the same
    plain one; all other optimisation is done by now.
    """
    chosen = set(_VECTOR_SELECT.findall(assembly))
    return _VECTOR_STORE.sub(
        lambda found: f"store volatile {found[1]}" if found[2] in chosen else found[0], assembly
    )


def interpreter_calls(assembly: str, entry: str) -> list[str]:
    """Functions of the Python interpreter that ``entry`` may call, directly or through others."""
    functions = {function.name: function for function in llvm.parse_assembly(assembly).functions}
    pending = [entry, *(name for _, name in _RECURSIVE.findall(assembly) if name in functions)]
    reached = set(pending)
    while pending:
        for block in functions[pending.pop()].blocks:
            for instruction in block.instructions:
                if instruction.opcode not in ("call", "invoke"):
                    continue
                callee = list(instruction.operands)[-1].name
                if callee in functions and callee not in reached:
                    reached.add(callee)
                    pending.append(callee)
    # Py_FatalError guards calls of BLAS with arguments that Numba has made right.
    return sorted(name for name in reached if name.startswith(("Py", "_Py")) and name != "Py_FatalError")


def load(code: ObjectCode) -> int | None:
    """Address of the kernel, valid until the process ends; ``None`` when a symbol that it needs is not here."""
    context = cpu_target.target_context  # makes Numba's C functions known to LLVM
    if any(name.startswith("NRT_") for name in code.externals):
        rtsys.initialize(context)  # those for memory; once, and only for a unit that allocates or raises
    if any(name.startswith(_BLAS) for name in code.externals):
        importlib.import_module("scipy.linalg.cython_blas")
        importlib.import_module("scipy.linalg.cython_lapack")
    if any(llvm.address_of_symbol(name) is None for name in code.externals):
        return None  # LLVM would end the process
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine())
    engine.add_object_file(llvm.ObjectFileRef.from_data(code.data))
    engine.finalize_object()
    _ENGINES.append(engine)
    return int(engine.get_function_address(code.entry)) or None
