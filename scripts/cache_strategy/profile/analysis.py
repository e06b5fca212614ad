"""The state of one run over a repository: what names stand for, how functions were evaluated, what is mapped."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from cache_strategy.profile import abstraction, library, serialization
from cache_strategy.profile.callgraph import Callgraph, called_by
from cache_strategy.profile.evaluation import Frame
from cache_strategy.profile.facts import Call, Context, Decoration, Facts
from cache_strategy.profile.frameworks._base import Framework
from cache_strategy.profile.lowering import Node
from cache_strategy.profile.memory import Memory
from cache_strategy.profile.orms._base import Mapped, Orm, TableFound
from cache_strategy.profile.program import ClassInfo, FunctionInfo, ModuleInfo, Program
from cache_strategy.profile.source_text import last_name
from cache_strategy.profile.values import (
    NOTHING,
    UNKNOWN,
    ClassRef,
    External,
    FunctionRef,
    Instance,
    Made,
    ModuleRef,
    Value,
    Values,
    join,
    many,
    one,
)

# A function is evaluated once per kind of arguments: literals are told apart for the first dozen, kinds of rows
# for the first forty; after that it is taken as it is, for any argument.
_CONTEXTS_WITH_LITERALS = 12
_CONTEXTS_OF_OBJECTS = 3
_CONTEXTS = 40
# All evaluations together are held to a few per function of the repository, however its parts call each other.
_CONTEXTS_PER_FUNCTION = 2
_FREE_CONTEXTS = 2_000
_FEWEST_CONTEXTS = 2
# A function that is given an application or a blueprint registers something, each call something else.
_CONTEXTS_OF_REGISTRATION = 1_000
_DEEPEST_CALLS = 60
_PROPERTIES = frozenset(
    """property cached_property hybrid_property reify memoized_property locked_cached_property
    cached_hybrid_property declared_attr classproperty threaded_cached_property""".split()
)


class Analysis:
    """
    One run. `contexts` are all evaluations, by index; `mapped` the classes that are tables, by class index;
    `tables` every table by name; `imports` the packages that are imported; `library` maps the last name of an external path to (how the path may begin, what it
    stands for) where a plugin has its source.
    """

    def __init__(self, program: Program, frameworks: list[Framework], orms: list[Orm]) -> None:
        self.program = program
        self.modules, self.functions, self.classes = program.modules, program.functions, program.classes
        self.frameworks = frameworks
        self.orms = orms
        self.plugins: list[Framework | Orm] = [*frameworks, *orms]
        self._packages = tuple(f"{package}." for plugin in self.plugins for package in plugin.packages)
        self.hooks: dict[str, list[Callable[..., Any]]] = defaultdict(list)
        for plugin in self.plugins:
            for name, hook in vars(plugin).items():
                if callable(hook):
                    self.hooks[name].append(hook)
        self.imports: set[str] = set()
        self.contexts: list[Context] = []
        self.mapped: dict[int, Mapped] = {}
        self.tables: dict[str, TableFound] = {}
        self.stores: dict[tuple[object, str], Values] = {}
        self.read_stores: set[tuple[object, str]] = set()
        self.stale = False
        self.scopes: dict[int, dict[str, Values]] = {}
        self.decorations: dict[int, Decoration] = {}
        self.module_facts: dict[int, Facts] = {}
        self.notes: dict[str, dict[Any, Any]] = {}
        self.unread: dict[tuple[str, str], None] = {}
        self.pages: dict[object, Any] = {}
        self.closures: dict[object, Facts] = {}
        self.rows_over: dict[object, tuple[Facts, list[Instance]]] = {}
        self.library: dict[str, tuple[tuple[str, ...], Values]] = {}
        self.live: list[Context] = []
        self.graph = Callgraph([])
        self.depth = 0
        self.registering = False
        self.memory = Memory(self)
        self._keys: dict[object, int] = {}
        self._per_function: dict[int, list[int]] = {}
        self._globals: dict[tuple[int, str], Values] = {}
        self._globals_of_classes: dict[tuple[str, int, str], Values] = {}
        self._running: set[object] = set()
        self._mro: dict[int, tuple[list[int], list[str]]] = {}
        self._kinds: dict[int, str] = {}
        self._spellings: dict[str, str] = {}
        self.meanings: dict[str, tuple[str, str] | None] = {}
        self.structures: dict[str, bool] = {}
        self._method_names: dict[str, list[int]] | None = None

    def ask(self, hook: str, *arguments: object) -> Any:
        """The first answer of the plugins that is not None (and not False); None where there is none."""
        for ask in self.hooks[hook]:
            answer = ask(*arguments)
            if answer is not None and answer is not False:
                return answer
        return None

    def row(self, value: Value) -> Mapped | None:
        """The mapping of the class that a value is a row of; None where it is no row."""
        return self.mapped.get(value.index) if isinstance(value, Instance) else None

    def model(self, value: Value) -> Mapped | None:
        """The mapping of a class; None where the value is none or is not mapped."""
        return self.mapped.get(value.index) if isinstance(value, ClassRef) else None

    # --- names

    def global_value(self, module: ModuleInfo, name: str) -> Values | None:
        """What a name of a module's top level stands for; None where the module does not bind it."""
        found = self._global_value(module, name)
        if self.memory.trace is not None:
            self.memory.note(("global", module.index, name), found)
        return found

    def _global_value(self, module: ModuleInfo, name: str) -> Values | None:
        key = (module.index, name)
        if key in self._globals:
            return self._globals[key]
        bound = self.program.bindings(module).get(name)
        if bound is None:
            return self._starred(module, name)
        if key in self._running:
            self.memory.cannot_repeat()
            return NOTHING
        frame = Frame(self, module, None, None, {}, self.facts_of(module))
        with self._during(key):
            found = join(*(self._bound(frame, binding) for binding in bound))
        # `global name` in a function
        found = join(found, self.stored(("module", module.index), name))
        self._globals[key] = found
        return found

    def facts_of(self, module: ModuleInfo) -> Facts:
        return self.module_facts.setdefault(module.index, Facts())

    def _bound(self, frame: Frame, binding: Node) -> Values:
        kind = binding[0]
        if kind == "def":
            return self.decorated_value(self.functions[binding[1]])
        if kind == "class":
            return one(ClassRef(binding[1]))
        if kind == "import":
            return self.imported(binding[1], frame.module)
        if kind == "from":
            return self.imported_from(binding[1], binding[2], binding[3], frame.module)
        if kind == "value":
            return frame.expression(binding[1])
        if kind == "declared":
            found = NOTHING if binding[1] is None else frame.expression(binding[1])
            return found or (frame.annotated(binding[2]) if binding[2] is not None else UNKNOWN)
        return frame.iterate(frame.expression(binding[1]), binding[1])

    def _starred(self, module: ModuleInfo, name: str) -> Values | None:
        if not module.stars or name.startswith("__"):
            return None
        key = ("star", module.index, name)
        if key in self._running:
            self.memory.cannot_repeat()
            return None
        with self._during(key):
            for base, level in module.stars:
                dotted = self.program.import_base(base, level, module)
                index = self.program.find_module(dotted, module)
                found = None if index is None else self.global_value(self.modules[index], name)
                if found is not None:
                    return found
        return None

    @contextmanager
    def _during(self, key: object) -> Iterator[None]:
        self._running.add(key)
        outer = self.memory.suspend()
        try:
            yield
        finally:
            self.memory.resume(outer)
            self._running.discard(key)

    def imported(self, dotted: str, importer: ModuleInfo) -> Values:
        index = self.program.find_module(dotted, importer)
        if index is not None:
            return one(ModuleRef(index))
        if self.program.is_package_prefix(dotted):
            return one(External("~" + dotted))
        return one(External(dotted))

    def imported_from(self, base: str, level: int, name: str, importer: ModuleInfo) -> Values:
        dotted = self.program.import_base(base, level, importer)
        index = self.program.find_module(dotted, importer)
        if index is not None:
            module = self.modules[index]
            found = None if index == importer.index else self.global_value(module, name)
            if found is not None:
                return found
        inner = self.program.find_module(f"{dotted}.{name}" if dotted else name, importer)
        if inner is not None:
            return one(ModuleRef(inner))
        if index is not None or dotted.startswith("."):
            return UNKNOWN
        if dotted.startswith(tuple(self.program.emitted)):
            return one(External(f"cache_strategy.{name}"))
        if self.program.is_package_prefix(f"{dotted}.{name}"):
            return one(External(f"~{dotted}.{name}"))
        return self.external(f"{dotted}.{name}")

    def external(self, path: str) -> Values:
        """What a path of another package stands for: where a plugin tells in Python what it does, that."""
        path = self.canonical(path)
        base, _, name = path.rpartition(".")
        known = self.library.get(name)
        return known[1] if known is not None and base.startswith(known[0]) else one(External(path))

    def canonical(self, path: str) -> str:
        found = self._spellings.get(path)
        if found is None:
            found = path
            for canonical in self.hooks["canonical"]:
                found = canonical(found)
            for plugin in self.plugins:
                for beginning, other in plugin.aliases.items():
                    if found.startswith(beginning):
                        found = other + found[len(beginning) :]
            self._spellings[path] = found
        return found

    def module_attribute(self, module: ModuleInfo, name: str) -> Values:
        found = self.global_value(module, name)
        if found is not None:
            return found
        inner = self.program.find_module(f"{module.name}.{name}", module)
        return UNKNOWN if inner is None else one(ModuleRef(inner))

    # --- classes

    def mro(self, index: int) -> tuple[list[int], list[str]]:
        """The classes of the repository that a class derives from, itself first, and the external ones."""
        if index in self._mro:
            return self._mro[index]
        if ("mro", index) in self._running:
            return [index], []
        with self._during(("mro", index)):
            classes, externals = self._linear(self.classes[index])
        if not any(isinstance(key, tuple) and key and key[0] == "mro" for key in self._running):
            self._mro[index] = (classes, externals)
        return classes, externals

    def _linear(self, info: ClassInfo) -> tuple[list[int], list[str]]:
        frame = Frame(self, self.modules[info.module], None, None, {}, Facts(), outer=info.outer)
        classes: list[int] = []
        externals: list[str] = []
        for base in info.bases:
            values = frame.expression(base)
            for value in values.union(*(self.ask("bases", frame, v) or () for v in values)):
                if isinstance(value, ClassRef) and value.index != info.index:
                    inner, outside = self.mro(value.index)
                    classes.extend(inner)
                    externals.extend(outside)
                elif isinstance(value, External | Made):
                    externals.append(value.path)
        # a base that several parents share comes after all of them
        unique = list(dict.fromkeys(reversed([c for c in classes if c != info.index])))
        unique.reverse()
        return [info.index, *unique], list(dict.fromkeys(externals))

    def member(self, index: int, name: str) -> tuple[str, int, int] | None:
        """
        Where a class has a name: ("method" or "class" or "attribute", index of the function or class or -1,
        index of the class that defines it).
        """
        for ancestor in self.mro(index)[0]:
            info = self.classes[ancestor]
            if name in info.methods:
                return "method", info.methods[name], ancestor
            if name in info.attributes:
                return "attribute", -1, ancestor
            if name in info.classes:
                return "class", info.classes[name], ancestor
        return None

    def method(self, index: int, name: str) -> int | None:
        """The method that a name of a class is, by its index; None where it is something else."""
        member = self.member(index, name)
        return member[1] if member is not None and member[0] == "method" else None

    def attribute_of(self, index: int, name: str) -> Values:
        """What a name is assigned in the body of a class or of a parent; empty where it is not."""
        member = self.member(index, name)
        return (
            self.class_attribute(member[2], name)
            if member is not None and member[0] == "attribute"
            else NOTHING
        )

    def is_enum(self, index: int) -> bool:
        return any(path.startswith("enum.") for path in self.mro(index)[1])

    def class_attribute(self, index: int, name: str) -> Values:
        found = self._class_attribute(index, name)
        if self.memory.trace is not None:
            self.memory.note(("attribute", index, name), found)
        return found

    def _class_attribute(self, index: int, name: str) -> Values:
        info = self.classes[index]
        key = ("attribute", index, name)
        if key in self._globals_of_classes:
            return self._globals_of_classes[key]
        if key in self._running:
            self.memory.cannot_repeat()
            return NOTHING
        module = self.modules[info.module]
        frame = Frame(self, module, None, None, {}, self.facts_of(module), outer=info.outer, owner=index)
        value, annotation, frame.line = info.attributes[name]
        with self._during(key):
            found = NOTHING if value is None else frame.expression(value)
            if annotation is not None and (value is None or found <= UNKNOWN):
                found = join(found, frame.annotated(annotation))
        self._globals_of_classes[key] = found
        return found

    def binding(self, function: FunctionInfo) -> str:
        if function.index not in self._kinds:
            kind = ""
            for decorator in function.decorators:
                last = last_name(decorator)
                if last == "staticmethod":
                    kind = "static"
                elif last == "classmethod":
                    kind = "class"
                elif last in _PROPERTIES or last.endswith("_property"):
                    kind = "property"
            self._kinds[function.index] = kind
        return self._kinds[function.index]

    def methods_named(self, name: str) -> list[int]:
        if self._method_names is None:
            self._method_names = {}
            for function in self.program.production_functions():
                if function.owner >= 0:
                    self._method_names.setdefault(function.name, []).append(function.index)
        return self._method_names.get(name, [])

    def cascades(self, table: str) -> set[str]:
        """The tables whose rows the database changes when a row of `table` is deleted, directly or not."""
        children: dict[str, set[str]] = self.notes.setdefault("cascades", {})
        if not children:
            children[""] = set()
            owners: list[Mapped | TableFound] = [*self.mapped.values(), *self.tables.values()]
            for found in owners:
                name = found.table if isinstance(found, Mapped) else found.name
                for column, action in found.on_delete.items():
                    if action in ("CASCADE", "SET NULL", "SET DEFAULT"):
                        parent = found.parents.get(column, "").rpartition(".")[0]
                        children.setdefault(parent, set()).add(name)
        reached: set[str] = set()
        queue = [table]
        while queue:
            for child in children.get(queue.pop(), ()):
                if child not in reached:
                    reached.add(child)
                    queue.append(child)
        return reached

    # --- shared places: attributes of objects, of flask.g

    def store(self, owner: object, name: str, values: Values) -> None:
        key = (owner, name)
        self.memory.note(("store", key, values), values)
        before = self.stores.get(key, NOTHING)
        after = join(before, abstraction.without_arguments(values))
        if after != before:
            self.stores[key] = after
            if key in self.read_stores and abstraction.has_rows(after - before):
                self.stale = True

    def stored(self, owner: object, name: str) -> Values:
        key = (owner, name)
        self.read_stores.add(key)
        return self.peek(key)

    def peek(self, key: tuple[object, str]) -> Values:
        """What is stored somewhere so far, which may be nothing."""
        found = self.stores.get(key, NOTHING)
        if self.memory.trace is not None:
            self.memory.note(("stored", key), found)
        return found

    def forget_evaluations(self) -> None:
        self.memory.keep(self.contexts, self._keys, self.decorations)
        self.contexts, self._keys, self.decorations = [], {}, {}
        self._per_function.clear()
        self._globals.clear()
        self._globals_of_classes.clear()
        self.scopes.clear()
        self.module_facts.clear()
        self.stale = False
        self.pages.clear()
        self.closures.clear()
        self.rows_over.clear()

    # --- functions

    def context(
        self, function: FunctionInfo, receiver: "ClassRef | Instance | Made | None", bound: dict[str, Values]
    ) -> Context:
        """The evaluation of a function for these kinds of arguments; made and run on first demand."""
        if self.memory.issued:
            made = self.memory.issued.get((function.index, receiver, tuple(bound.items())))
            if made:
                return self.contexts[made.pop(0)]
        known = self._per_function.setdefault(function.index, [])
        asked = (receiver, bound)
        if isinstance(receiver, Instance) and receiver.new:
            receiver = Instance(receiver.index)
        kept = bound
        registers = (
            self.registering
            or isinstance(receiver, Made)
            or any(isinstance(v, Made) for vs in bound.values() for v in vs)
        )
        if len(known) >= _CONTEXTS_OF_OBJECTS and function.owner >= 0 and not registers:
            if isinstance(receiver, Instance) and receiver.index not in self.mapped:
                receiver = Instance(function.owner)
            elif isinstance(receiver, ClassRef) and receiver.index not in self.mapped:
                receiver = ClassRef(function.owner)
        if len(known) >= _CONTEXTS_OF_OBJECTS and not registers:
            kept = {
                name: abstraction.without_objects(values, self.mapped.__contains__, self.is_known)
                for name, values in bound.items()
            }
        if len(known) >= (_CONTEXTS_OF_REGISTRATION if registers else _CONTEXTS_WITH_LITERALS):
            kept = {name: abstraction.without_literals(values) for name, values in kept.items()}
        spent = len(self.contexts) > _CONTEXTS_PER_FUNCTION * len(self.functions) + _FREE_CONTEXTS
        most = _CONTEXTS_OF_REGISTRATION if registers else _FEWEST_CONTEXTS if spent else _CONTEXTS
        if len(known) >= most:
            kept = {}
        kept = {name: values for name, values in kept.items() if values}
        key = (function.index, receiver, frozenset(kept.items()))
        index = self._keys.get(key)
        if index is None or (self.contexts[index].cut and self.depth < _DEEPEST_CALLS):
            # who asked where the chain was too long keeps that answer, and what it leaves unknown
            known[:] = [*(i for i in known if i != index), len(self.contexts)]
            index = self._keys[key] = len(self.contexts)
            self.contexts.append(Context(index, function, receiver, kept))
        context = self.contexts[index]
        trace = self.memory.trace
        if context.state == 0:
            if self.depth >= _DEEPEST_CALLS or not self.memory.recall(context, key):
                self._evaluate(context)
        elif context.state == 1:
            context.again = True
            self.memory.cannot_repeat()
        if trace is not None:
            trace["call", index, asked[0], tuple(bound.items())] = asked
        return context

    def key_of(self, context: int) -> object:
        found = self.contexts[context]
        return (found.function.index, found.receiver, frozenset(found.bound.items()))

    def known_context(self, key: object) -> int | None:
        return self._keys.get(key)

    def is_known(self, path: str) -> bool:
        return path.startswith(self._packages) or library.known(path) is not None

    def contexts_of(self, function: int) -> list[Context]:
        return [self.contexts[i] for i in self._per_function.get(function, [])]

    def settle(self) -> Callgraph:
        """Everything was followed: who calls whom, and which evaluations stand for a use."""
        self.graph = Callgraph(list(self.contexts))
        outside = {i for d in self.decorations.values() for i in d.contexts}
        self.live = self.graph.live(outside | called_by(self.module_facts.values()))
        return self.graph

    def generic(self, function: FunctionInfo) -> Context:
        receiver: ClassRef | Instance | None = None
        if function.owner >= 0 and self.binding(function) != "static":
            is_class = self.binding(function) == "class"
            receiver = ClassRef(function.owner) if is_class else Instance(function.owner)
        return self.context(function, receiver, {})

    def _evaluate(self, context: Context) -> None:
        if self.depth >= _DEEPEST_CALLS:
            context.facts.unknown.add(f"{context.function.qualname}: the chain of calls is too long")
            context.returns = UNKNOWN
            context.state, context.cut = 2, True
            return
        context.state = 1
        self.depth += 1
        outer = self.memory.begin()
        try:
            for _ in range(3):
                context.again = False
                before = context.returns
                self._run(context)
                if not context.again:
                    break
                self.memory.cannot_repeat()
                if context.returns == before:
                    break
        except Exception as error:
            # one function that defeats the evaluation must not cost the evidence of all the others
            self.give_up(context.function, error)
            context.facts.unknown.add(f"{context.function.qualname} could not be followed")
            context.returns = UNKNOWN
            self.memory.cannot_repeat()
        finally:
            self.depth -= 1
            context.state = 2
            self.memory.end(context, outer)

    def follow_cut(self) -> None:
        """What was asked where the chain was too long does what it does all the same; only its answer was not seen."""
        for context in self.contexts:
            if context.cut:
                found = self.context(context.function, context.receiver, context.bound)
                context.facts.calls.add(Call(found.index, context.function.line, False, ()))

    def give_up(
        self, function: FunctionInfo | None, error: Exception, module: ModuleInfo | None = None
    ) -> None:
        if function is not None:
            module = self.modules[function.module]
        name = "its top level" if function is None else f"{function.qualname} (line {function.line})"
        if module is not None:
            self.unread[(module.path, f"{name} could not be followed: {type(error).__name__}")] = None

    def _run(self, context: Context) -> None:
        function = context.function
        module = self.modules[function.module]
        frame = Frame(
            self, module, function, context.receiver, {}, context.facts, outer=function.outer, context=context
        )
        frame.bind_parameters(context.bound)
        frame.run(function.statements())
        if function.index in self.scopes:
            frame.publish_scope()
        if function.is_generator:
            context.returns = many(context.yields or UNKNOWN, lazy=True)
        decoration = self.decoration(function)
        for serializer in decoration.serializers:
            serializer(frame, context.returns)
        context.returns = decoration.returned(context.returns)

    def answer(self, index: int) -> None:
        """Notes what writing out the answer of a handler reads, where the handler returns rows."""
        context = self.contexts[index]
        module = self.modules[context.function.module]
        frame = Frame(self, module, context.function, context.receiver, {}, context.facts, context=context)
        serialization.encode(frame, context.returns, ("name", context.function.line, context.function.name))

    # --- decorators

    def decoration(self, function: FunctionInfo) -> Decoration:
        found = self.decorations.get(function.index)
        if self.memory.trace is not None:
            self.memory.trace["decoration", function.index] = None
        if found is None:
            found = self.decorations[function.index] = Decoration()
            if function.decorators:
                module = self.modules[function.module]
                frame = Frame(
                    self, module, None, None, {}, found.facts, outer=function.outer, owner=function.owner
                )
                outer = self.memory.suspend()
                for node in function.decorators:
                    frame.decorate(function, node, found)
                self.memory.resume(outer)
        return found

    def decorated_value(self, function: FunctionInfo) -> Values:
        """What the name of a function stands for; a decorator that makes another object of it is followed."""
        for node in function.decorators:
            if last_name(node) == "LocalProxy":
                return one(External("werkzeug.local.LocalProxy()"))
        return one(FunctionRef(function.index))
