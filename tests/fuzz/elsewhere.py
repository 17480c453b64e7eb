"""Names that the fuzzer does not draw: they say what the namespace is, take another library's arrays, or are compared elsewhere:
NumPy's that are seldom used by test_numpy_seldom.py, lax's slices, exchanges, convolutions and implicit functions by
test_lax_slices.py and with JAX's, optimizers by test_optim.py and with optax's, bits of generators by
test_bitgenerators.py."""

from __future__ import annotations

NOT_DRAWN = {
    "lnp": """ComplexWarning __array_api_version__ __array_namespace_info__ array_repr array_str c_ cdouble character
complex_ complexfloating csingle einsum_path flexible from_dlpack frombuffer fromfile
fromiter frompyfunc fromstring get_printoptions histogram2d histogramdd load mask_indices mgrid object_ ogrid
packbits place poly polydiv polyfit printoptions put r_ real_if_close roots save savez set_printoptions
sort_complex ufunc unpackbits""",
    "optim": """DynamicLossScale EmptyState GradientTransformationExtraArgs InjectHyperparamsState LookaheadParams
LookaheadState MultiSteps SAMState StaticLossScale adabelief adadelta adafactor adagrad adamax adamaxw adan
adaptive_grad_clip add_noise all_finite amsgrad apply_every apply_if_finite centralize clip clip_by_block_rms
conditionally_mask conditionally_transform cosine_distance cosine_onecycle_schedule cosine_similarity ema flatten
freeze fromage hinge_loss huber_loss incremental_update inject_hyperparams join_schedules keep_params_nonnegative
kl_divergence l2_loss lamb lars linear_onecycle_schedule lion log_cosh lookahead masked multi_transform nadam nadamw
named_chain noisy_sgd normalize normalize_by_update_norm novograd optimistic_adam_v2 optimistic_gradient_descent
partition periodic_update piecewise_interpolate_schedule polyak_sgd polynomial_schedule radam rmsprop rprop
safe_increment sam scale_by_adadelta scale_by_adamax scale_by_adan scale_by_amsgrad scale_by_belief
scale_by_factored_rms scale_by_lion scale_by_novograd scale_by_optimistic_gradient scale_by_param_block_norm
scale_by_param_block_rms scale_by_polyak scale_by_radam scale_by_rms scale_by_rprop scale_by_rss scale_by_schedule
scale_by_sign scale_by_sm3 scale_by_stddev scale_by_trust_ratio scale_by_yogi select_tree selective_transform
set_to_zero sgdr_schedule sigmoid_binary_cross_entropy sigmoid_focal_loss sign_sgd signum skip_large_updates skip_not_finite sm3
smooth_labels softmax_cross_entropy softmax_cross_entropy_with_integer_labels squared_error stateless
stochastic_round warmup_constant_schedule warmup_exponential_decay_schedule with_extra_args_support yogi
zero_nans""",
    "lax": """ConvGeneralDilatedDimensionNumbers DotDimensionNumbers GatherScatterMode Precision PrecisionLike
RandomAlgorithm RoundingMethod all_to_all batch_matmul betainc broadcast_to_rank collapse composite conv
conv_dimension_numbers conv_general_dilated_local conv_general_dilated_patches conv_general_permutations
conv_general_shape_tuple conv_shape_tuple conv_transpose conv_transpose_shape_tuple conv_with_general_padding
custom_linear_solve custom_root
dot dtype dynamic_index_in_dim dynamic_slice_in_dim dynamic_update_index_in_dim dynamic_update_slice_in_dim
empty igamma igamma_grad_a igammac index_in_dim index_take mulhi optimization_barrier padtype_to_pads
platform_dependent polygamma ppermute pshuffle psum_scatter pswapaxes ragged_dot random_gamma_grad
reduce_precision reduce_window_shape_tuple reduce_xor rng_bit_generator slice_in_dim
with_sharding_constraint""",  # modes are drawn by their names
}
