"""Breakages of how hooks are found, run behind their socket, and believed."""

from typing import Final

from tests.mutants.mutant import Mutant

PHASES: Final = "tests/hooks/test_phases.py::"
RUNNER: Final = "tests/hooks/test_runner.py::"
SOCKET: Final = "tests/hooks/test_hook_socket.py::"
WORDS: Final = "tests/hooks/test_words.py::"
DANGER: Final = "tests/hooks/test_danger.py::"
HOST: Final = "tests/daemon/test_hooks_behind_socket.py::"

MUTANTS: Final = (
    Mutant(
        "a hook without its bit is passed over",
        "../hooks/files.py",
        '            return _no_program(path, "is not executable", "chmod +x")',
        '            return Skipped(str(path), "it is not executable")',
        (PHASES + "test_a_file_that_is_not_executable_blocks_and_says_the_cure",),
    ),
    Mutant(
        "what is amiss does not stop the rest of a phase",
        "../hooks/runner.py",
        "    return hooks if phase is Phase.ABANDONED else unfit or hooks",
        "    return hooks",
        (PHASES + "test_a_file_that_is_not_executable_blocks_and_says_the_cure",),
    ),
    Mutant(
        "an undoing ends with its first failure",
        "../hooks/runner.py",
        "        if order.phase is not Phase.ABANDONED:\n            break",
        "        break",
        (PHASES + "test_the_undoing_goes_on_after_a_failure",),
    ),
    Mutant(
        "hooks run beside those of another runner",
        "../hooks/turn_taking.py",
        "        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)",
        (RUNNER + "test_a_runner_runs_no_hook_beside_those_of_another",),
    ),
    Mutant(
        "a link in the place of the lock is followed",
        "../hooks/turn_taking.py",
        "os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC",
        "os.O_RDWR | os.O_CREAT | os.O_CLOEXEC",
        (RUNNER + "test_where_no_turn_can_be_had_no_hook_is_run",),
    ),
    Mutant(
        "a runner that was stopped gives a verdict",
        "../hooks/runner.py",
        '        log.info("the hooks were stopped")\n        return False',
        '        log.info("the hooks were stopped")\n        return True',
        (
            RUNNER
            + "test_the_end_of_the_connection_is_the_end_of_the_hook_and_of_all_that_it_started",
        ),
    ),
    Mutant(
        "an answer without its end is believed",
        "../hooks/phases.py",
        "        match NO_END if line is None else decode_answer(line):",
        "        match End() if line is None else decode_answer(line):",
        (SOCKET + "test_a_runner_that_dies_says_nothing_although_it_passed_before",),
    ),
    Mutant(
        "a failure is forgotten at the end",
        "../hooks/phases.py",
        "            case End():\n                return first",
        "            case End():\n                return None",
        (PHASES + "test_the_first_failure_ends_a_phase_with_its_last_line",),
    ),
    Mutant(
        "a hook may be given any time",
        "../hooks/words.py",
        "    if not 1 <= timeout_s <= LONGEST_TIMEOUT_S:",
        "    if timeout_s < 1:",
        (WORDS + "test_an_order_with_anything_odd_in_it_is_not_taken",),
    ),
    Mutant(
        "what the group can write is run as root",
        "../hooks/danger.py",
        "    if mode & 0o022 and not keeps_names:",
        "    if mode & 0o002 and not keeps_names:",
        (DANGER + "test_every_directory_on_the_way_counts",),
    ),
    Mutant(
        "a configuration that was refused gives hooks their time",
        "../config/load.py",
        "Settings() if self.errors or self.policy.invalid else self.config.settings",
        "self.config.settings",
        (
            HOST
            + "test_a_daemon_that_starts_with_a_broken_configuration_gives_hooks_the_usual_time",
        ),
    ),
)
