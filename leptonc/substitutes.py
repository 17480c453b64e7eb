"""What to use for names of NumPy, JAX, optax and PyTorch that a module of leptonc lacks. A leaf module: data alone.

Near names and names of other modules are found without it. ``tests/test_names.py`` checks that what is recommended exists.
"""

from __future__ import annotations

SUBSTITUTES: dict[str, dict[str, str]] = {
    "leptonc": {
        "compile": "leptonc.jit", "function": "leptonc.jit", "pjit": "leptonc.jit", "np": "leptonc.numpy", "jnp": "leptonc.numpy",
        "Tensor": "leptonc.Array", "ndarray": "leptonc.Array", "tensor": "leptonc.numpy.asarray", "PRNGKey": "leptonc.random.key",
        "tree_map": "leptonc.tree.map", "make_jaxpr": "leptonc.make_graph",
        "pmap": "leptonc.jit, which uses all CPUs; leptonc.set_num_threads limits them",
        "no_grad": "leptonc.lax.stop_gradient",
        "image": "leptonc.nn.resize", "typeof": "leptonc.eval_shape",
        "set_default_device": "leptonc.set_num_threads", "cond": "leptonc.lax.cond",
    },
    "leptonc.numpy": {
        "norm": "leptonc.numpy.linalg.norm", "random": "leptonc.random", "product": "leptonc.numpy.prod",
        "fix": "leptonc.numpy.trunc", "ascontiguousarray": "leptonc.numpy.asarray",
        "row_stack": "leptonc.numpy.vstack", "item": "float(x), outside of the traced function",
    },
    "leptonc.nn": {
        **dict.fromkeys(("linear", "Dense", "dense"), "leptonc.nn.Linear, or x @ w + b"),
        **dict.fromkeys(("conv1d", "conv2d", "conv3d"), "leptonc.nn.conv"),
        **dict.fromkeys(("Conv1d", "Conv2d", "Conv3d", "Conv2D"), "leptonc.nn.Conv"),
        **dict.fromkeys(("ConvTranspose2d", "ConvTranspose2D"), "leptonc.nn.ConvTranspose"),
        "max_pool2d": "leptonc.nn.max_pool", "avg_pool2d": "leptonc.nn.avg_pool",
        **dict.fromkeys(("BatchNorm1d", "BatchNorm2d"), "leptonc.nn.BatchNorm"), "RNN": "leptonc.nn.SimpleRNN",
        "embedding": "leptonc.nn.Embedding, or leptonc.numpy.take(table, indices, axis=0)", "interpolate": "leptonc.nn.resize",
        "softmax_cross_entropy": "leptonc.nn.cross_entropy", "nll_loss": "leptonc.nn.cross_entropy",
        "mse_loss": "leptonc.nn.mean_squared_error", "l1_loss": "leptonc.nn.mean_absolute_error",
        "triplet_margin_loss": "leptonc.nn.triplet_loss", "scaled_dot_product_attention": "leptonc.nn.dot_product_attention",
    },
    "leptonc.optim": {
        "momentum": "leptonc.optim.sgd(learning_rate, momentum=0.9)",
        "apply_gradients": "leptonc.optim.apply_updates", "SGD": "leptonc.optim.sgd", "Adam": "leptonc.optim.adam",
        "AdamW": "leptonc.optim.adamw",
    },
    "leptonc.scipy": {
        "signal": "leptonc.numpy.convolve, or leptonc.nn.conv", "fft": "leptonc.numpy.fft",
        "sparse": "leptonc.lax.custom_linear_solve", "optimize": "leptonc.lax.custom_root, or leptonc.lax.while_loop",
    },
    "leptonc.random": {
        "seed": "leptonc.random.key", "default_rng": "leptonc.random.key",
        "rand": "leptonc.random.uniform", "randn": "leptonc.random.normal", "integers": "leptonc.random.randint",
    },
}
