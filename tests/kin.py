"""What is left to the slow tier of tests that are run for many things of one kind: the dear ones beside the first.

The fast tier is to take under three minutes on two cores. A head, an encoder or a corpus that is new stands in no list
here and is tried in it until somebody finds it too dear.
"""

from __future__ import annotations

from collections.abc import Iterable

_SPEECH = (
    "hubert-base", "wavlm-base", "data2vec-audio", "unispeech-sat-base", "unispeech-sat-large", "unispeech",
    "odd-positions-relu", "long-odd-positions", "other-front-layer",
)  # fmt: skip
_CONFORMERS = ("conformer-group", "conformer-rope", "w2v-bert-relative", "w2v-bert-rotary", "parakeet-other")
_AUTO = ("sew", "seamless", "seamless-v2", "speech-to-text", "moonshine")
_TOWERS = ("audio-flamingo-3", "voxtral")
_EGEMAPS = ("egemaps-20ms", "egemaps-functionals")
_ACTED = (
    "esd",
    "iemocap",
    "ravdess",
    "voxceleb1",
    "cafe",
    "savee",
    "emovo",
    "mesd",
    "tess",
    "shemo",
    "cremad",
    "subesco",
    "jl-corpus",
    "baved",
    "ased",
    "emov-db",
    "oreau",
    "resd",
    "enterface",
    "emns",
    "pavoque",
    "emozionalmente",
    "mead",
    "polish",
    "asvp-esd",
    "thorsten-emotional",
    "demos",
    "banglaser",
    "emota",
    "indowave",
)
"""Corpora that are read as others are."""
_RECURRENT = ("lf-rnn", "ef-rnn", "wf-rnn", "pair-rnn", "cnn-lstm")
_CONTRACT = (
    "keeps_its_shapes",
    "minds_no_company",
    "counts_its_frames",
    "gives_what_is_chosen",
    "repeats_itself",
)
_ALIKE = ("wav2vec2-large", "hubert-large", "hubert-batch-norm", "group-norm-with-bias-pre-norm")
"""Which differ from others in what is tested by itself."""
_BESIDE = (
    *_SPEECH, *_ALIKE, *_CONFORMERS, *_AUTO, *_EGEMAPS, *_TOWERS, "lasr", "conformer-no-positions", "wenet-causal",
)  # fmt: skip
"""Encoders that share their code with another one."""
_RECORDED = tuple(
    f"{optimiser}-{order}-Head{head}"
    for head, orders in enumerate(
        (("own", "shared"), ("alone", "own"), ("shared", "alone"), ("own", "shared"))
    )
    for optimiser in ("adam", "sgd")
    for order in orders
) + tuple(f"sgd-{order}-Head{head}" for head, order in enumerate(("alone", "shared", "own", "alone")))
_HDF5_JOBS = tuple(f"{job}-hdf5-sequences" for job in ("make", "read", "verify", "repair"))

SLOW: dict[str, Iterable[str]] = {
    "test_advice.py::test_utterances_that_are_missing_are_added_to_the_same_store": ("kind0-hdf5", "kind1-zarr"),
    "test_advice.py::test_what_is_not_in_the_cache_is_extracted": (
        "manifest-short name", "manifest:my corpus-local folder", "manifest:my corpus-hub id",
    ),
    "test_command_faults.py::test_a_run_that_cannot_be_read_is_not_called_damaged": tuple(
        f"{file}-{fault}"
        for file in ("report.json", "predictions.csv", "heard.csv", "history.jsonl")
        for fault in ("ENOSPC", "EACCES", "EROFS", "EDQUOT")
    ),
    "test_command_faults.py::test_each_sort_of_call_fails_once": ("extract", "predict"),
    "test_command_faults.py::test_streams_that_lead_nowhere": (
        "$S info >&--0-",
        "$S info nowhere 2>&--2-",
        "$S predict runs/base - <&--2-error: standard input ended without",
        "$S heads | head -1 | grep -c name-0-",
    ),
    "test_contracts.py::test_all_that_there_is_keeps_its_contract": (
        *(f"sercache.datasets-{name}" for name in _ACTED),
        "sercache.encoders-egemaps",
        *(f"sercache.heads-{name}" for name in (*_RECURRENT, "cta-rnn", "cnn-lstm-attention")),
    ),
    "test_datasets_contract.py::test_damaged_label_files_give_a_refusal_or_fewer_labels_never_others": (
        "esd",
        "iemocap",
    ),
    "test_devices.py::test_every_encoder_computes_on_its_device_alone_and_in_full_float32": (
        *_SPEECH, *_ALIKE, *_CONFORMERS, *_AUTO, *_TOWERS, "lasr", "sew-d", "conformer-no-positions", "wenet-causal",
        "adapters", "distilhubert", "other-front-group", "parakeet", "w2v-bert", "wavlm-large", "qwen2.5-omni",
        "data2vec2",
    ),
    "test_devices.py::test_every_encoder_of_text_computes_on_its_device_alone": (
        "distilbert", "electra", "modernbert", "mpnet", "roberta", "xlm-roberta",
    ),
    "test_devices.py::test_every_head_is_trained_on_its_device_alone": (
        *_RECURRENT, "rnn", "cta-rnn", "cnn-lstm-attention", "attention-blocks", "speaker-specific",
    ),
    "test_devices.py::test_every_tail_is_trained_on_its_device_alone": (
        *_SPEECH, *_ALIKE, *_CONFORMERS, "conformer-no-positions", "w2v-bert",
        "adapters", "distilhubert", "other-front-group", "parakeet",
    ),
    "test_disk_faults.py::test_a_full_disk_keeps_what_was_committed": (
        "zarr-means", "zarr-sequences", "hdf5-sequences",
    ),
    "test_disk_faults.py::test_each_kind_of_call_fails_once": (
        *_HDF5_JOBS, "go-on-hdf5-sequences", "repair-zarr-sequences",
        "make-zarr-sequences", "go-on-zarr-sequences",
    ),
    "test_encoders.py::test_company_changes_nothing": (
        *_BESIDE, "egemaps", "sew-d", "wavlm-large", "parakeet", "w2v-bert", "qwen2-audio", "qwen2.5-omni",
        "emotion2vec", "data2vec2", "dasheng", "adapters", "other-front-group", "distilhubert", "ast",
    ),
    "test_encoders.py::test_the_contract_is_kept": (
        *(f"{name}-{part}" for name in _BESIDE for part in (*_CONTRACT, "refuses_what_does_not_fit")),
    ),
    "test_encoders.py::test_a_message_says_what_will_do": _BESIDE,
    "test_encoders.py::test_a_state_outlives_the_next_one": _BESIDE,
    "test_encoders.py::test_an_identity_is_plain_json_and_is_known_without_the_weights": _BESIDE,
    "test_encoders_windows.py::test_states_below_the_blocks_are_exact_and_blocks_see_windows": (
        "data2vec-audio", "hubert-large", "wavlm-large",
    ),
    "test_encoders_hf_auto.py::test_blocks_are_those_of_the_stock_module_alone": (*_AUTO, "lasr"),
    "test_encoders_hf_auto.py::test_of_a_translator_the_speech_encoder_alone_is_read": ("seamless",),
    "test_encoders_hf_conformer.py::test_a_fine_tuned_checkpoint_gives_its_encoder": (
        "Wav2Vec2ConformerForPreTraining-conformer-rel-pos",
        "Wav2Vec2ConformerForSequenceClassification-conformer-no-positions",
        "Wav2Vec2BertForSequenceClassification-w2v-bert-relative",
        "ParakeetForRNNT-parakeet",
        "ParakeetForTDT-parakeet-other",
    ),
    "test_encoders_hf_conformer.py::test_bfloat16_errs_no_more_than_the_stock_module_in_bfloat16": (
        "conformer-rope",
        "parakeet",
        "w2v-bert",
    ),
    "test_encoders_hf_conformer.py::test_cutting_the_work_into_pieces_changes_nothing": (
        *_CONFORMERS, "conformer-no-positions",
    ),
    "test_encoders_hf_conformer.py::test_every_state_is_that_of_the_stock_module_alone": (
        *_CONFORMERS, "conformer-no-positions",
    ),
    "test_encoders_hf_speech.py::test_bfloat16_errs_no_more_than_the_stock_module_in_bfloat16": (
        "data2vec-audio-False", "data2vec-audio-True", "wav2vec2-base-True", "wavlm-large-False",
    ),
    "test_encoders_hf_speech.py::test_every_state_is_that_of_the_stock_module_alone": (*_SPEECH, *_ALIKE),
    "test_encoders_hf_speech.py::test_utterances_side_by_side_as_on_cuda_are_those_alone": (
        *(f"{name}-1073741824" for name in (*_SPEECH, *_ALIKE, "adapters", "distilhubert")),
        "wavlm-base-1", "long-odd-positions-1", "other-front-layer-1",
    ),
    "test_encoders_tail.py::test_from_any_boundary_as_from_audio": (*_SPEECH, *_ALIKE),
    "test_encoders_tail.py::test_conformers_from_any_boundary_as_from_audio": (
        *_CONFORMERS, "conformer-no-positions", "conformer-rel-pos", "parakeet",
    ),
    "test_extraction_sharing.py::test_parts_give_the_whole_in_any_order": ("9",),
    "test_extraction_sharing.py::test_several_divide_the_work": ("2-True", "4-False", "4-True"),
    "test_evaluation.py::test_random_labels_stay_at_chance_however_well_they_are_learned": ("none", "global"),
    "test_evaluation_cross_corpus.py::test_heads_read_several_stores_side_by_side": ("none", "global"),
    "test_evaluation.py::test_a_real_store_gives_the_same_report_as_the_fake": ("True-hdf5", "False-zarr"),
    "test_finetune_adapting.py::test_what_lora_gives_from_the_cache_is_what_the_exported_encoder_gives_from_audio": (
        "hubert-large", "wavlm-base", "data2vec-audio", "w2v-bert-relative", "conformer-rel-pos", "conformer-rope",
        "parakeet",
    ),
    "test_finetune.py::test_trains_the_blocks_with_the_head": ("1-mlp",),
    "test_golden.py::test_numbers_are_those_written_down": (
        "head: cnn-lstm, final_relu=False", "head: cnn-lstm-attention, final_relu=False",
    ),
    "test_golden.py::test_a_planted_change_of_a_head_is_noticed": (*_RECURRENT, "cta-rnn", "cnn-lstm-attention"),
    "test_heads.py::TestEveryHead::test_overfits_32_utterances": (
        *_RECURRENT, "rnn", "cta-rnn", "cnn-lstm-attention", "speaker-specific", "egemaps-fusion", "weighted-dense",
        "attention-blocks",
    ),
    "test_layer_attention.py::test_shortcut_equals_the_plain_form": ("24-1024-False", "17-1030-False"),
    "test_kernels.py::test_normalised_and_activated_in_one_kernel_the_front_end_is_the_stock_one": (
        "other-front-layer-dtype1",
    ),
    "test_page.py::test_pictures_for_telephones_cut_nothing_off": ("25", "100"),
    "test_pictures.py::test_a_thousand_classes_fit_on_a_page": ("1251",),
    "test_pictures.py::test_labels_of_a_map_differ_in_colour_and_shape": ("48",),
    "test_pictures.py::test_no_text_is_cut_off": ("1-1-2", "12-1-4", "20-5-12"),
    "test_cli.py::test_each_is_shown_by_its_name": ("encoders",),
    "test_cli.py::test_listings_fit_the_terminal": ("arguments4-80",),
    "test_cluster.py::test_losses_that_change_nothing_end_with_what_was_begun": ("MOST_LOSSES-4",),
    "test_report.py::test_plots_of_odd_reports": ("options1-expected1", "options2-expected2", "options3-expected3"),
    "test_store_accounts.py::test_flips_in_every_file_are_found": ("('zarr', False)-1",),
    "test_store_crash.py::test_dies_at_each_step": ("hdf5-28",),
    "test_store_damage.py::test_a_flipped_bit_is_laid_at_the_right_door": ("hdf5",),
    "test_store_damage.py::test_leftovers_of_the_dead_are_cleared_and_the_living_left": ("zarr",),
    "test_store_flips.py::test_sampled_bytes": ("('zarr', False)", "('zarr', True)", "('hdf5', True)"),
    "test_store_hostile.py::test_records_that_were_made_up": ("hdf5", "means"),
    "test_store_hostile.py::test_checkpoints_that_were_made_up": ("hdf5-12", "means-12"),
    "test_store_slots.py::test_small_commits_fill_a_shard": ("True",),
    "test_store_watch.py::test_no_changed_byte_is_given_out": ("('zarr', False)-15", "('hdf5', True)-15"),
    "test_stores.py::test_many_writers_share_a_store": ("hdf5",),
    "test_training_card.py::test_members_on_a_card_are_those_of_the_cpu": ("mlp", "superb", "weighted-dense"),
    "test_training_card.py::test_members_together_take_few_more_operations_than_one": (
        "mlp", "layer-attention", "superb", "weighted-dense",
    ),
    "test_training_card.py::test_nothing_is_moved_for_a_batch": (
        "mlp-together", "superb-together", "weighted-dense-together", "mlp-alone", "weighted-dense-alone",
    ),
    "test_training_many.py::TestStacked::test_gives_what_each_member_gives_alone": (
        "change0-Head0", "change0-Head1", "change1-Head0", "change2-Head0", "change2-Head1",
    ),
    "test_training_many.py::TestStacked::test_members_that_share_their_batches": (
        "change0-Head-frames0", "change0-Head-frames1", "change1-Head-frames0", "change1-Head-frames2",
        "change2-Head-frames0", "change2-Head-frames1", "change2-Head-frames2",
    ),
    "test_training_many.py::test_processes_give_what_each_member_gives_alone": ("Head1",),
    "test_training_partial.py::test_changed_items_are_trained_again": ("audio", "left out"),
    "test_training_partial.py::test_other_settings_are_not_taken_for_ours": ("recipe", "option", "shared order"),
    "test_training_partial.py::test_a_finished_run_that_cannot_be_taken_from_is_trained_again": (
        "cut off",
        "no weights",
        "of another shape",
    ),
    "test_training_recording.py::test_what_was_recorded_does_what_the_loop_does": _RECORDED,
    "test_training_stacks.py::TestSteps::test_are_those_of_each_member_alone": (
        "False-adam-halve-on-plateau", "True-adam-halve-on-plateau", "False-sgd-0.05-0.001", "True-adam-0.001-cosine",
        "True-adamw-0.01-exponential-0.8", "True-sgd-0.3-0.0-halve-on-plateau", "False-adamw-0.01-exponential-0.8",
        "False-sgd-0.3-0.0-halve-on-plateau",
    ),
    "test_training_stacks_sequences.py::TestSequences::test_members_are_those_trained_alone": (
        "change0-Head0", "change0-Head1", "change0-Head3", "change1-Head0", "change1-Head2", "change1-Head3",
    ),
}  # fmt: skip
"""Test -> ids of its parameters."""


def split(node: str) -> tuple[str, str]:
    """The test of a node, from its file on, and the id of its parameters."""
    test, _, id = node.partition("[")
    return test.rpartition("/")[2], id.removesuffix("]")
