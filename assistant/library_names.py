"""Names that every programmer knows from somewhere else: an answer may mention them whether or not a repository does.

What a language or its standard library calls so, and what is written where a name is still to be chosen. Nothing depends on
these lists being complete: a name that is missing here is only told to occur nowhere in the repository, which is so.
"""

from __future__ import annotations

import builtins
import re
import sys


def _words(text: str) -> frozenset[str]:
    """The words of a text that lists some."""
    return frozenset(text.split())


# The first part of a dotted name that belongs to a library: `asyncio.gather`, `std::vector`, `java.util.Map`.
LIBRARIES = sys.stdlib_module_names | _words("""
std alloc boost absl java javax jakarta kotlin kotlinx android androidx scala System Microsoft Windows console window
document navigator process Buffer Math JSON Object Array Promise Reflect Symbol String Number Date Map Set React Vue
Angular fmt net http io os errors context sync strings strconv bytes reflect Foundation UIKit Swift Data Control vim
nvim math table string Enum List GenServer Supervisor Kernel Illuminate Symfony numpy np pandas pd torch tf sklearn
scipy django flask requests pytest unittest jest mocha vitest express lodash jQuery axios tokio serde hyper
""")

NAMES = _words("""
ThreadPoolExecutor ProcessPoolExecutor BaseModel FastAPI APIRouter TestCase MagicMock OrderedDict defaultdict
namedtuple contextmanager asynccontextmanager lru_cache cached_property dataclass asdict TypeVar ParamSpec TypedDict
NamedTuple get_object_or_404 create_task run_in_executor ensure_future wait_for get_event_loop StringIO BytesIO
SimpleNamespace ArrayList LinkedList HashMap HashSet TreeMap LinkedHashMap ConcurrentHashMap CountDownLatch
CompletableFuture ExecutorService StringBuilder InputStream OutputStream BufferedReader NullPointerException
IllegalArgumentException IllegalStateException RuntimeException IOException InterruptedException
UnsupportedOperationException AutoCloseable ThreadLocal ReentrantLock XMLHttpRequest addEventListener
removeEventListener querySelector querySelectorAll getElementById setTimeout setInterval clearTimeout
requestAnimationFrame localStorage sessionStorage AbortController URLSearchParams FormData WebSocket EventEmitter
EventTarget EventSource WeakMap WeakSet ReadableStream WritableStream TextDecoder TextEncoder structuredClone
queueMicrotask useState useEffect useMemo useCallback useRef forEach indexOf toString hasOwnProperty parseInt
parseFloat isNaN instanceof WaitGroup RWMutex ResponseWriter HandlerFunc ListenAndServe ReadAll Sprintf Println Errorf
strconv ioutil goroutine unique_ptr shared_ptr weak_ptr make_unique make_shared string_view unordered_map
unordered_set static_cast dynamic_cast reinterpret_cast const_cast enable_if lock_guard unique_lock mutex_lock
push_back emplace_back size_t ssize_t uint8_t uint16_t uint32_t uint64_t int8_t int16_t int32_t int64_t pthread_create
pthread_mutex_lock epoll_wait epoll_create kqueue Vec Option Result RefCell Arc Mutex RwLock PhantomData HashMap
BTreeMap unwrap_or unwrap_or_else into_iter as_ref async_trait CancellationToken IEnumerable IDisposable IQueryable
ConcurrentDictionary DbContext HttpClient TaskCompletionSource LinkedHashSet MutableList CoroutineScope StateFlow
withContext runBlocking DispatchQueue URLSession NSError ObservableObject method_missing define_method attr_accessor
attr_reader instance_variable_get respond_to array_map json_encode file_get_contents sessionmaker create_engine
DataFrame read_csv json_decode
""")

_PLACEHOLDER = re.compile(
    r"(?:^|[^a-z])(?:my|your|our|some|any|foo|bar|baz|qux|example|sample|dummy|placeholder|path[_/]to|xyz|xxx|todo)(?![a-z])"
    r"|^(?:My|Your|Some|Foo|Bar|Example)(?=[A-Z_]|$)|^(?:my|your|some)(?=[A-Z])|(?i:foobar|foo_|example)|\.\.\.|…|[<>{}*$%]",
)


def is_library_name(name: str) -> bool:
    return name in NAMES or hasattr(builtins, name)


def is_placeholder(text: str) -> bool:
    """Whether it is written for something that the reader chooses: `my_app`, `YourClass`, `path/to/file.py`."""
    return _PLACEHOLDER.search(text) is not None
