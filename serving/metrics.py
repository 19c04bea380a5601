"""What Prometheus may scrape of a service, through Ray's own exporter; seconds, in buckets that fit them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ray.util.metrics import Counter, Gauge, Histogram

_SECONDS = [0.01, 0.03, 0.1, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0]
_STAGE_SECONDS = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0]
_ROWS = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0]


class ModelMetrics:
    """Of one model's replica, each with the tag `model`.

    `atelier_queue_seconds`, `atelier_batch_rows`, `atelier_batch_seconds`, `atelier_stage_seconds{stage}` (a row),
    `atelier_step_seconds` (of a diffusion model's loop), `atelier_loops_stopped_total` (since nobody waited any more),
    `atelier_waiting`, `atelier_asks_total{code}` (`ok`, or a refusal's code).
    """

    def __init__(self, model: str) -> None:
        tags: dict[str, str] = {"model": model}

        def histogram(name: str, description: str, boundaries: list[float], *more: str) -> Histogram:
            made = Histogram(name, description=description, boundaries=boundaries, tag_keys=("model", *more))
            made.set_default_tags(tags)
            return made

        self._queue = histogram("atelier_queue_seconds", "Seconds that a picture waited for the device", _SECONDS)
        self._rows = histogram("atelier_batch_rows", "Rows of a batch, padding not counted", _ROWS)
        self._batch = histogram("atelier_batch_seconds", "Seconds of a batch on the device", _SECONDS)
        self._stage = histogram("atelier_stage_seconds", "Seconds a row", _STAGE_SECONDS, "stage")
        self._step = histogram("atelier_step_seconds", "Seconds of a loop's step", _STAGE_SECONDS)
        stopped = "Loops that ended since nobody waited any more"
        self._stopped = Counter("atelier_loops_stopped_total", description=stopped, tag_keys=("model",))
        self._stopped.set_default_tags(tags)
        self._waiting = Gauge("atelier_waiting", description="Pictures that wait", tag_keys=("model",))
        self._asks = Counter("atelier_asks_total", description="Asks that ended", tag_keys=("model", "code"))
        self._waiting.set_default_tags(tags)
        self._asks.set_default_tags(tags)

    def launched(self, waited_s: Sequence[float]) -> None:
        """Takes in what the items of a batch waited."""
        for seconds in waited_s:
            self._queue.observe(seconds)

    def computed(self, rows: int, seconds: float) -> None:
        """Takes in a batch that the device has made."""
        self._rows.observe(rows)
        self._batch.observe(seconds)

    def stepped(self, seconds: float) -> None:
        """Takes in a step of a loop."""
        self._step.observe(seconds)

    def stopped(self) -> None:
        """Takes in a loop that ended before its time."""
        self._stopped.inc()

    def made(self, seconds_by_stage: Mapping[str, float]) -> None:
        """Takes in an ask that ended in pictures."""
        self._asks.inc(tags={"code": "ok"})
        for stage, seconds in seconds_by_stage.items():
            self._stage.observe(seconds, tags={"stage": stage})

    def refused(self, code: str) -> None:
        """Takes in an ask that ended in none."""
        self._asks.inc(tags={"code": code})

    def waiting(self, items: int) -> None:
        """Takes in the length of the queue."""
        self._waiting.set(items)


class RequestMetrics:
    """Of an ingress.

    `atelier_requests_total{route,status}`, `atelier_request_seconds{route}`, `atelier_jobs_total{state}`,
    `atelier_webhooks_total{result}`, `atelier_cache_lookups_total{cache,result}`: the cache `jobs` is looked into by
    idempotency key; a `hit` is a job that is there, and nothing is made again, anything else a `miss`.
    """

    def __init__(self) -> None:
        self._requests = Counter("atelier_requests_total", description="Requests", tag_keys=("route", "status"))
        self._seconds = Histogram(
            "atelier_request_seconds", description="Seconds of a request", boundaries=_SECONDS, tag_keys=("route",)
        )
        self._jobs = Counter("atelier_jobs_total", description="Jobs that ended", tag_keys=("state",))
        lookups = "Looks for what is there already"
        self._lookups = Counter("atelier_cache_lookups_total", description=lookups, tag_keys=("cache", "result"))
        self._webhooks = Counter("atelier_webhooks_total", description="Calls of webhooks", tag_keys=("result",))

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Takes in a request. `route` is a template, never a path with somebody's id in it."""
        self._requests.inc(tags={"route": route, "status": str(status)})
        self._seconds.observe(seconds, tags={"route": route})

    def job_ended(self, state: str) -> None:
        """Takes in a job."""
        self._jobs.inc(tags={"state": state})

    def looked_up(self, cache: str, *, is_hit: bool) -> None:
        """Takes in a look for something that may be there already."""
        self._lookups.inc(tags={"cache": cache, "result": "hit" if is_hit else "miss"})

    def webhook_called(self, result: str) -> None:
        """Takes in a call of a webhook: `delivered`, `not answered` (and told again), or `failed`."""
        self._webhooks.inc(tags={"result": result})
