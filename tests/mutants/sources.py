"""Breakages of the sources of updates that read files, and of what else may reboot beside us."""

from typing import Final

from tests.mutants.mutant import Mutant

FILES: Final = "tests/updates/test_bootc_files.py::"
BOOTC: Final = "tests/daemon/test_bootc.py::"
RIVALS: Final = "tests/updates/test_rivals.py::"
UNITS: Final = "tests/systemd/test_units.py::"

MUTANTS: Final = (
    Mutant(
        "a systemd that is away for a moment is none",
        "../systemd/units.py",
        "        return self._may_be_absent and error.name in ABSENT\n",
        "        return error.name in ABSENT\n",
        (UNITS + "test_of_a_systemd_that_is_away_for_a_moment_nobody_knows_what_runs",),
    ),
    Mutant(
        "what a soft reboot left behind is pending",
        "../updates/composefs_files.py",
        "        target = staged if staged is not None and staged.id != booted else None\n",
        "        target = staged\n",
        (FILES + "test_what_a_soft_reboot_left_behind_hides_no_rollback",),
    ),
    Mutant(
        "a staged file that cannot be read is none",
        "../updates/composefs_files.py",
        (
            '        raise OddError(f"what is staged cannot be read: '
            '{staged.detail} ({_UMASK}: {cure})")'
        ),
        "        return None",
        (FILES + "test_every_cut_of_the_staged_file_is_unreadable",),
    ),
    Mutant(
        "an update that is being made is pending",
        "../updates/composefs_files.py",
        "        case None if is_new:",
        "        case None if is_new and not name:",
        (FILES + "test_what_is_being_made_has_no_origin_yet_and_is_unknown",),
    ),
    Mutant(
        "what boots last boots first",
        "../updates/composefs_files.py",
        "            for path in reversed(paths):",
        "            for path in paths:",
        (BOOTC + "test_a_rollback_is_told_and_never_rebooted_for",),
    ),
    Mutant(
        "the directory of an update is on disk, bootable or not",
        "../updates/composefs_files.py",
        '        menu, new = tuple(_menu(root)), "" if target is None else target.id\n',
        (
            '        menu, new = tuple(_menu(root)), "" if target is None else '
            'target.id\n        menu += tuple(Bootable(each.name, "") for each in '
            "(root / STATE).iterdir())\n"
        ),
        (BOOTC + "test_an_update_that_could_not_be_finalized_was_not_applied",),
    ),
    Mutant(
        "a lock of another type is none",
        "../updates/composefs_words.py",
        "                    return StagedImage(name, Finalization.UNKNOWN)",
        "                    return StagedImage(name, Finalization.OPEN)",
        (FILES + "test_a_lock_of_another_type_is_unknown_and_never_open",),
    ),
    Mutant(
        "a locked image is open",
        "../updates/composefs_words.py",
        "Finalization.LOCKED if is_locked else Finalization.OPEN",
        "Finalization.OPEN",
        (FILES + "test_a_lock_of_another_type_is_unknown_and_never_open",),
    ),
    Mutant(
        "a queued rollback on composefs is not seen",
        "../updates/composefs_words.py",
        "    following = menu[0].id if menu else booted\n",
        "    following = booted\n",
        (BOOTC + "test_a_rollback_is_told_and_never_rebooted_for",),
    ),
    Mutant(
        "the first mount at a place counts, not what covers it",
        "../updates/boot_words.py",
        "    return found[-1][1] if found and found[-1] is not None else None",
        "    return found[0][1] if found and found[0] is not None else None",
        (FILES + "test_the_mount_that_covers_the_others_counts",),
    ),
    Mutant(
        "whatever begins as a composefs is one",
        "../updates/boot_words.py",
        "_ROOT.fullmatch(source)",
        "_ROOT.match(source)",
        (FILES + "test_what_is_mounted_at_the_root_says_which_composefs_is_booted",),
    ),
    Mutant(
        "an overlay of /usr is not seen",
        "../updates/boot_words.py",
        'found[-1] == "transient"',
        'found[-1] == "overlay"',
        (FILES + "test_the_mount_that_covers_the_others_counts",),
    ),
    Mutant(
        "who waits for a lock holds it",
        "../updates/lock_words.py",
        "^\\d+: (\\w+)",
        "^\\d+: (?:-> )?(\\w+)",
        (FILES + "test_who_waits_for_a_lock_holds_nothing",),
    ),
    Mutant(
        "a lock of bootc on composefs is none",
        "../updates/lock_words.py",
        'frozenset({"OFDLCK", "FLOCK", "POSIX"})',
        'frozenset({"OFDLCK", "POSIX"})',
        (FILES + "test_who_waits_for_a_lock_holds_nothing",),
    ),
    Mutant(
        "a lock of libostree is none",
        "../updates/lock_words.py",
        'frozenset({"OFDLCK", "FLOCK", "POSIX"})',
        'frozenset({"FLOCK", "POSIX"})',
        (FILES + "test_who_waits_for_a_lock_holds_nothing",),
    ),
    Mutant(
        "a lock inside of the staged file is none",
        "../updates/tree_files.py",
        (
            "            finalization=Finalization.LOCKED if self._files.has_lock "
            "else staged.finalization,"
        ),
        (
            "            finalization=Finalization.LOCKED if self._files.has_lock "
            "else Finalization.OPEN,"
        ),
        (FILES + "test_either_sign_of_a_lock_locks",),
    ),
    Mutant(
        "a lock beside the staged file is none",
        "../updates/tree_files.py",
        (
            "            finalization=Finalization.LOCKED if self._files.has_lock "
            "else staged.finalization,"
        ),
        "            finalization=staged.finalization,",
        (FILES + "test_either_sign_of_a_lock_locks",),
    ),
    Mutant(
        "a staged update without its tree is pending",
        "../updates/tree_files.py",
        '                    raise OddError(f"{id} is staged, and not on the disk")',
        "                    return staged",
        (FILES + "test_a_staged_update_without_its_tree_is_unknown",),
    ),
    Mutant(
        "the oldest entry of the boot menu boots first",
        "../updates/tree_words.py",
        "key=lambda entry: _number(entry.version), reverse=True)",
        "key=lambda entry: _number(entry.version))",
        (BOOTC + "test_a_rollback_is_told_and_never_rebooted_for",),
    ),
    Mutant(
        "a change on the booted base has the key of the base",
        "../updates/tree_words.py",
        "encode_change_key(new.key, {}, both, new.id) if same_base else new.key",
        "new.key",
        (FILES + "test_another_serial_of_the_booted_commit_is_pending_and_a_change",),
    ),
    Mutant(
        "an image is shown by no label",
        "../updates/commit_words.py",
        'harmless(_label(table) or _text(table, "version"))',
        'harmless(_text(table, "version"))',
        (FILES + "test_an_image_is_known_by_its_digest_and_shown_by_its_label",),
    ),
    Mutant(
        "layered packages have no base",
        "../updates/commit_words.py",
        '        base=parent.hex() if layered else "",',
        '        base="",',
        (FILES + "test_layered_packages_are_known_by_the_commit_below_them",),
    ),
    Mutant(
        "systemd is asked for the timer at each look",
        "../updates/rivals.py",
        "        if self._asked_at != news or not self._systemd.tells:\n",
        "        if self._asked_at != -2:\n",
        (RIVALS + "test_an_active_timer_is_asked_once_and_again_when_it_stops",),
    ),
    Mutant(
        "a timer is what it was before systemd was away",
        "../updates/rivals.py",
        '        self._heard("systemd is on the bus again")',
        '        self._changed("systemd is on the bus again")',
        (RIVALS + "test_the_last_answer_stands_while_systemd_is_away_and_no_longer",),
    ),
    Mutant(
        "a timer is what it was before a reload",
        "../updates/rivals.py",
        '            self._heard("systemd has reloaded its units")',
        '            self._changed("systemd has reloaded its units")',
        (RIVALS + "test_a_reload_has_an_active_timer_asked_again",),
    ),
    Mutant(
        "a timer whose condition cannot hold is a conflict",
        "../updates/rivals.py",
        'if can_run else ""',
        'if can_run or self else ""',
        (RIVALS + "test_what_a_condition_forbids_is_no_rival_until_it_holds",),
    ),
    Mutant(
        "a stager is a conflict",
        "../updates/words.py",
        '        if "--apply" in command:\n',
        "        if command:\n",
        (RIVALS + "test_a_reload_has_an_active_timer_asked_again",),
    ),
    Mutant(
        "a unit is followed once it is loaded",
        "../systemd/units.py",
        ("            await self.follow(unit_path(unit), heard)  # before it is loaded, too\n"),
        "",
        (UNITS + "test_units_that_were_read_are_followed_and_systemd_is_subscribed_to_once",),
    ),
)
