"""The training loop. It knows steps, batches and checkpoints, and no launcher."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from atelier.errors import ConfigError
from training.checkpoints import CheckpointInfo, CheckpointStore, Saved, settings_of
from training.data.loader import LoadedBatch, Loader
from training.disk import is_of_the_disk
from training.layout import Layout
from training.moves import Moved, Part
from training.pace import Pace
from training.parallel import average_buffers
from training.randomness import row_seeds
from training.run import TrainRun
from training.schedule import learning_rate_factor
from training.steps.base import Moment
from training.supervisor import Supervisor
from training.watch.divergence import DivergedError, Divergence, DivergenceGuard, cause_of, record_divergence
from training.watch.flops import StepFlops
from training.watch.memory import Memory
from training.watch.observer import Observer, RunFacts, StepReport, ValidationReport
from training.wishes import Agreement, Wish
from training.world import World, is_lost_touch

log = logging.getLogger(__name__)

DONE = "done"

Validate = Callable[[int, nn.ModuleDict], ValidationReport]
"""Steps done and the whole averaged networks to a report; called on the first worker only."""


VALIDATION, CHECKPOINT = "validation", "checkpoint"


class TrainLoop:
    """One run on one worker, in step with the others.

    Args:
        layout: of the run's step over the workers.
        loader: this worker's rows.
        store: of this run's checkpoints. info: what they are of.
        changed: settings that may differ from those of the checkpoint that is taken up.
        supervisor: whoever launched it.
        observers: told on the first worker only.
        validate: draws held-out rows; None never does.
        log_folder: where a divergence is recorded.
        flops: of one worker's share of a step; None where nobody counted.
    """

    def __init__(
        self,
        run: TrainRun,
        world: World,
        layout: Layout,
        *,
        loader: Loader,
        store: CheckpointStore,
        info: CheckpointInfo,
        changed: Collection[str] = (),
        supervisor: Supervisor | None = None,
        observers: Observer | None = None,
        validate: Validate | None = None,
        log_folder: Path | None = None,
        flops: StepFlops | None = None,
    ) -> None:
        self.run, self.world, self.layout = run, world, layout
        self.num_steps_done = 0
        self.store = store
        self._loader, self._info, self._changed = loader, info, changed
        self._supervisor = supervisor or Supervisor()
        self._observers = (observers if world.is_first else None) or Observer()
        self._validate, self._log_folder, self._flops = validate, log_folder, flops
        self._agreement = Agreement(world)
        self._guard = DivergenceGuard(totals=layout.state.totals)
        self._is_suspicious, self._owes_checkpoint = False, False
        self._judged_at = 0
        self._losses: Mapping[str, Mapping[str, float]] = {}
        self._gradient_norms: Mapping[str, float] = {}
        self._whole, self._told_of = (0, ""), 0

    def fit(self, num_steps: int | None = None) -> str:
        """Takes up the newest checkpoint, then steps until `num_steps` are done in all (None: the whole run).

        Returns:
            `done`, or who asked to stop; a checkpoint of the last step is whole either way. Where a stop comes while a
            loss lies far above what it was, the last checkpoint is from before that.

        Raises:
            DivergedError: a loss ran away or is no finite number; the last checkpoint is from before it.
            ConfigError: the checkpoint there is another run's, or beyond this one's end.
        """
        end = self.run.num_steps if num_steps is None else min(num_steps, self.run.num_steps)
        if (found := self.store.resume(self.layout.state, self._info, changed=self._changed)) is not None:
            if found.num_steps_done > self.run.num_steps:
                raise ConfigError(
                    f"run {self.run.name}: num_steps (--steps): is {self.run.num_steps}, and its checkpoint is at step "
                    f"{found.num_steps_done} already; must be at least {found.num_steps_done}"
                )
            self.num_steps_done, self._info = found.num_steps_done, self._info.going_on_from(found)
        self._judged_at = self._told_of = self.num_steps_done
        self._observers.started(self._facts())
        try:
            reason = self._step_until(end)
            if reason == DONE:
                self._judge()
                self._refuse(self.world.gather(self._guard.at_end()))
            # A last step or two far above are outliers like others, and no later checkpoint could be waited for.
            self._keep(whole_now=True, outliers_too=reason == DONE)
        except BaseException as error:
            self._observers.stopped(self.num_steps_done, _said_of(error))
            raise
        self._observers.stopped(self.num_steps_done, reason)
        return reason

    def close(self) -> None:
        """Ends the loading processes, the save under way and the workers' agreement; to be called on every worker."""
        self._loader.close()
        self.store.close()
        self._agreement.close()

    def _step_until(self, end: int) -> str:
        batches = self._loader.iterate(self.num_steps_done)
        turns = {VALIDATION: self.run.validate_every_steps, CHECKPOINT: self.run.checkpoint_every_steps}
        pace = Pace(self.num_steps_done, self.run.num_steps, turns)
        if self.run.validate_every_steps and self.num_steps_done == 0:
            with pace.pausing(VALIDATION):
                self._draw_validation()
        while self.num_steps_done < end:
            self._agreement.cast(self._supervisor.wish())
            with pace.waiting():
                batch = next(batches)
            moved = self._make_step(batch)
            self.num_steps_done += 1
            self._note(batch, moved)
            if self._is_turn(self.run.log_every_steps, end):
                self._report(moved, batch, pace)
            is_judged = bool(self.run.validate_every_steps) and self._is_turn(self.run.validate_every_steps, end)
            if is_judged:
                with pace.pausing(VALIDATION):
                    self._draw_validation()
            wish = self._agreement.read()
            if wish is Wish.LOOK:
                wish = self._supervisor.look()
                if wish is Wish.KEEP:
                    self._observers.noticed(self.num_steps_done, self._supervisor.notice)
            if wish is Wish.STOP:
                return next(filter(None, self.world.gather(self._supervisor.reason)), "stopped")
            # The best can only be kept of what was judged.
            is_wanted = is_judged and self.run.keep.num_best > 0
            is_turn = self._is_turn(self.run.checkpoint_every_steps, end)
            if wish is Wish.KEEP or is_wanted or is_turn or self._owes_checkpoint:
                with pace.pausing(CHECKPOINT):
                    self._keep(whole_now=wish is Wish.KEEP)
        return DONE

    def _is_turn(self, every: int, end: int) -> bool:
        return self.num_steps_done % every == 0 or self.num_steps_done == end

    def _make_step(self, batch: LoadedBatch) -> Mapping[str, Moved]:
        step, run = self.num_steps_done, self.run
        factor = learning_rate_factor(
            step, run.num_steps, num_warmup_steps=run.num_warmup_steps, decay=run.decay, floor=run.decay_floor
        )
        parts = list(self._parts(batch))
        moved = {moves.player.name: moves.make(parts, factor) for moves in self.layout.moves}
        average_buffers(self.layout.step.networks, self.world)
        self.layout.average.update(self.layout.step.networks, step)
        return moved

    def _parts(self, batch: LoadedBatch) -> Iterator[Part]:
        """This worker's rows, cut as they would be among `num_accumulated` times as many workers."""
        columns = {
            name: column.to(self.world.device, non_blocking=True, copy=False) for name, column in batch.columns.items()
        }
        num_rows, num_workers = len(batch.global_indexes), self.world.num_workers
        # As many on every worker, though one may have a row more: each part's backward pass takes all of them.
        num_parts = min(self.run.num_accumulated, self.run.batch_size // num_workers)
        seeds = row_seeds(self.run.seed, batch.global_indexes)
        places = tuple(self.world.rows(self.run.batch_size))
        for number in range(num_parts):
            rows = slice(number * num_rows // num_parts, (number + 1) * num_rows // num_parts)
            yield Part(
                batch={name: column[rows] for name, column in columns.items()},
                moment=Moment(
                    progress=self.num_steps_done / self.run.num_steps, seeds=seeds[rows], places=places[rows]
                ),
                weight=(rows.stop - rows.start) * num_workers / self.run.batch_size,
                first_row=batch.global_indexes[0] - places[0],
            )

    def _note(self, batch: LoadedBatch, moved: Mapping[str, Moved]) -> None:
        losses = {player: move.loss for player, move in moved.items()}
        norms: dict[str, Tensor] = {player: move.gradient_norm for player, move in moved.items()}
        self._guard.note(self.num_steps_done, batch.ids, losses, norms)

    def _report(self, moved: Mapping[str, Moved], batch: LoadedBatch, pace: Pace) -> None:
        self._judge()
        self._hear_of(self.store.poll())
        paced = pace.at(self.num_steps_done)
        self._observers.stepped(
            StepReport(
                step=self.num_steps_done,
                losses=self._losses,
                samples_per_s=self.run.batch_size / paced.step_s,
                step_s=paced.step_s,
                waited_s=paced.waited_s,
                pauses_left_s=paced.pauses_left_s,
                left_out={player: move.loss.left_out for player, move in moved.items() if move.loss.left_out},
                learning_rates={
                    moves.player.name: float(moves.optimizer.param_groups[0]["lr"]) for moves in self.layout.moves
                },
                gradient_norms=self._gradient_norms,
                memory=Memory.now(self.world.device),
                flops_per_step=self._flops_per_step(),
                ids=batch.ids,
            )
        )

    def _judge(self) -> None:
        """Reads all numbers since the last time, and ends the run on every worker where one worker's are bad."""
        if self._judged_at == self.num_steps_done:
            return
        self._judged_at = self.num_steps_done
        judged = self._guard.judge()
        gathered = self.world.gather((judged.divergence, judged.losses, self._guard.is_suspicious))
        self._refuse([divergence for divergence, _, _ in gathered])
        self._losses, self._gradient_norms = _mean([losses for _, losses, _ in gathered]), judged.gradient_norms
        self._is_suspicious = any(suspicious for _, _, suspicious in gathered)

    def _refuse(self, met: Sequence[Divergence | None]) -> None:
        """Ends the run where a worker, of all, has met a divergence."""
        if (divergence := cause_of(met)) is None:
            return
        if self._log_folder is not None and self.world.is_first:
            try:
                record_divergence(self._log_folder, divergence)
            except OSError as error:  # the run ends by what it has to say of
                log.warning("%s: the divergence could not be written down: %s", self._log_folder, error.strerror)
        raise DivergedError(self.run.name, divergence)

    def _keep(self, *, whole_now: bool, outliers_too: bool = False) -> None:
        """Begins a checkpoint of this step; `whole_now` waits for it.

        Spoilt weights must never replace good ones: while a loss lies far above what it was, none is begun, and one is
        owed as soon as the loss is back.
        """
        self._judge()
        if self._is_suspicious and not outliers_too:
            if not self._owes_checkpoint and self.world.is_first:
                log.warning(
                    "step %d: no checkpoint: a loss lies far above what it was; there is one again when it is back",
                    self.num_steps_done,
                )
            self._owes_checkpoint = True
            if whole_now:
                self._hear_of(self.store.wait())
            return
        self._owes_checkpoint = False
        # A validation's metrics are of its own step's weights and of no other's.
        judged = self._info.num_steps_done == self.num_steps_done
        info = self._info if judged else self._info.at(self.num_steps_done)
        self._hear_of(self.store.save(self.layout.state, info))
        if whole_now:
            self._hear_of(self.store.wait())
        # A save ends on each worker in its own time; the launcher is told when all know.
        step, address = min(self.world.gather(self._whole))
        if step > self._told_of:
            self._told_of = step
            self._supervisor.kept(step, address)

    def _hear_of(self, saved: Saved | None) -> None:
        if saved is not None and not saved.error:
            self._whole = saved.info.num_steps_done, saved.address
            self._observers.kept(*self._whole)

    def _draw_validation(self) -> None:
        networks = self.layout.averaged_networks()
        metrics: Mapping[str, float] | None = None
        if networks is not None and self._validate is not None:
            try:
                report = self._validate(self.num_steps_done, networks)
            except OSError as error:
                # As a save may fail there: what the run learns does not hang on it.
                if not is_of_the_disk(error):
                    raise
                log.warning("step %d: held-out rows could not be drawn: %s", self.num_steps_done, error)
            else:
                self._observers.validated(report)
                metrics = report.metrics
        # The others have nothing to draw with; they come here all the same, and wait.
        if (shared := self.world.share(metrics)) is not None:
            self.run.keep.refuse_unknown(shared)
            self._info = self._info.at(self.num_steps_done, shared)

    def _flops_per_step(self) -> float | None:
        """Of the newest step, or of the first where none was made."""
        return None if self._flops is None else self._flops.at(max(0, self.num_steps_done - 1) / self.run.num_steps)

    def _facts(self) -> RunFacts:
        return RunFacts(
            run=self.run.name,
            first_step=self.num_steps_done,
            num_steps=self.run.num_steps,
            batch_size=self.run.batch_size,
            num_workers=self.world.num_workers,
            device=str(self.world.device),
            precision=self.run.precision,
            flops_per_step=self._flops_per_step(),
            num_parameters={
                name: sum(parameter.numel() for parameter in network.parameters())
                for name, network in self.layout.step.networks.items()
            },
            settings=settings_of(self.run),
        )


def _said_of(error: BaseException) -> str:
    said = f"{type(error).__name__}: {error}"
    if not is_lost_touch(error):
        return said
    said = said.partition("\n")[0].partition(". ")[0]
    return f"another worker is gone; whoever launched them starts all anew from the last whole checkpoint ({said})"


def _mean(losses: Sequence[Mapping[str, Mapping[str, float]]]) -> Mapping[str, Mapping[str, float]]:
    """Of all workers' losses, term by term: each worker's is weighted by its rows already."""
    return {
        player: {term: sum(loss[player][term] for loss in losses) / len(losses) for term in terms}
        for player, terms in losses[0].items()
    }
