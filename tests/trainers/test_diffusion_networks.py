"""Diffusion networks: the paper's size to the digit, the pass that all share, weights by seed and tensor."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from trainers.errors import SpecError
from trainers.models import diffusion, unet, unet_parts
from trainers.models.diffusion import Network
from trainers.models.diffusion_sizes import SIZES, UNetSize
from trainers.models.keyed_dropout import KeyedDropout, keyed

TINY = ("unet_tiny", "dit_tiny")
#: Each name but the paper's at sides that it takes.
SIDES = [
    ("unet_tiny", (1, 8, 8)),
    ("dit_tiny", (1, 8, 8)),
    ("unet_tiny", (1, 28, 28)),
    ("unet_small", (1, 16, 16)),
    ("unet_small", (1, 28, 28)),
    ("unet_small", (3, 32, 32)),
    ("dit_small", (1, 28, 28)),
    ("dit_small", (3, 32, 32)),
]


def given(network: Network, count: int = 4) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(count, network.channels, network.side, network.side, generator=generator)
    labels = torch.arange(count) % network.classes
    return x, torch.linspace(-1.5, 1.1, count), nn.functional.one_hot(labels, network.classes).float()


def stirred(network: Network) -> nn.Module:
    """A network in which nothing is zero any more."""
    model = diffusion.build(network, 0)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)
    return model


@pytest.mark.parametrize(("classes", "parameters"), [(10, 15_708_291), (100, 15_708_291 + 9_696 - 1_056)])
def test_ddpmpp_has_the_papers_parameters(classes: int, parameters: int) -> None:
    """Protocols 1: less the 864 of the augmentation map, which never gets a gradient."""
    network = diffusion.network("ddpmpp", (3, 32, 32), classes, 0.13)
    assert diffusion.count_parameters(network) == parameters
    size = SIZES["ddpmpp"]
    assert isinstance(size, UNetSize)
    with torch.device("meta"):
        declared = unet.UNet(size, 3, 32, classes, 0.13, augmentation=True)
    assert sum(parameter.numel() for parameter in declared.parameters()) == parameters + 864


def test_ddpmpp_is_laid_out_as_edms() -> None:
    """Attention in the 2 + 1 blocks at 16 x 16 and in the first of the middle; dropout in all 3 x 2 + 2 + 2 + 9 + 2."""
    with torch.device("meta"):
        model = diffusion._empty(diffusion.network("ddpmpp", (3, 32, 32), 10, 0.13))
    blocks = {name: part for name, part in model.named_modules() if isinstance(part, unet_parts.Block)}
    assert len(blocks) == 21
    assert [name for name, part in blocks.items() if part.attention] == ["down.3", "down.4", "middle.0", "up.6"]
    assert sum(isinstance(part, KeyedDropout) and part.p == 0.13 for part in model.modules()) == 21
    widths = [(part.conv0.in_channels, part.outputs) for part in blocks.values()]
    assert widths[:8] == [(96, 96)] * 3 + [(96, 192)] + [(192, 192)] * 4
    assert widths[10:] == [(384, 192)] * 3 + [(192, 192)] + [(384, 192)] * 2 + [(288, 192), (192, 192)] + [
        (288, 96),
        (192, 96),
        (192, 96),
    ]
    norms = [part for part in model.modules() if isinstance(part, nn.GroupNorm)]
    assert {(part.num_channels, part.num_groups) for part in norms} == {(96, 24), (192, 32), (288, 32), (384, 32)}
    assert {part.eps for part in norms} == {1e-6}


def test_the_way_up_meets_the_way_down_in_reverse() -> None:
    """Each block but the one that doubles the side takes what came before it, then the last map not yet taken."""
    network = Network("unet_tiny", 1, 8, 10)
    model = stirred(network).eval()
    came: dict[str, torch.Tensor] = {}
    went: dict[str, torch.Tensor] = {}
    names = {
        part: name for name, part in model.named_modules() if isinstance(part, unet_parts.Block) or name == "first"
    }

    def seen(part: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        came[names[part]], went[names[part]] = inputs[0], output

    for part in names:
        part.register_forward_hook(seen)
    with torch.no_grad():
        model(*given(network))
    pairs = {"up.0": "down.2", "up.1": "down.1", "up.3": "down.0", "up.4": "first"}
    assert went["down.1"].shape[2:] == (4, 4)
    assert went["up.2"].shape[2:] == (8, 8)
    assert torch.equal(came["up.2"], went["up.1"])
    before = "down.2"
    for name in ("up.0", "up.1", "up.2", "up.3", "up.4"):
        now = torch.cat([went[before], went[pairs[name]]], dim=1) if name in pairs else went[before]
        assert torch.equal(came[name], now)
        before = name


@pytest.mark.parametrize(("name", "shape"), SIDES)
def test_built_is_what_was_counted_and_keeps_the_images_shape(name: str, shape: tuple[int, ...]) -> None:
    network = diffusion.network(name, shape, 7, 0.0)
    model = diffusion.build(network, 0)
    counted = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    assert counted == diffusion.count_parameters(network)
    with torch.no_grad():
        out = model(*given(network, 2))
    assert out.shape == (2, *shape)
    assert out.abs().max().item() < 1e-3, "a fresh network adds next to nothing to the preconditioner's skip"


def test_all_names_are_described_and_tried() -> None:
    assert diffusion.MODELS.keys() == SIZES.keys()
    assert {name for name, _ in SIDES} | {"ddpmpp"} == SIZES.keys()
    for name in SIZES:
        size = SIZES[name]
        diffusion.check(name, (1, size.smallest, size.smallest))


def test_sizes_meant_for_cpus_stay_small() -> None:
    assert diffusion.count_parameters(diffusion.network("unet_tiny", (1, 8, 8), 10, 0.0)) <= 100_000
    assert diffusion.count_parameters(diffusion.network("unet_small", (3, 32, 32), 100, 0.0)) <= 1_000_000


@pytest.mark.parametrize("name", sorted(SIZES))
def test_every_parameter_gets_a_gradient(name: str) -> None:
    size = SIZES[name]
    side = 16 if name == "ddpmpp" else size.smallest  # where it attends
    network = diffusion.network(name, (1, side, side), 3, 0.0)
    model = stirred(network)
    model(*given(network, 1)).square().sum().backward()
    assert [key for key, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("name", TINY)
def test_a_fresh_network_learns(name: str) -> None:
    """What starts at zero, or nearly, does not stay there: 30 steps towards an image of the label."""
    network = Network(name, 1, 8, 2)
    model = diffusion.build(network, 0)
    x, level, labels = given(network, 8)
    target = torch.where(labels[:, :1, None, None] > 0, 1.0, -1.0).expand_as(x)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(30):
        optimiser.zero_grad()
        loss = (model(x, level, labels) - target).square().mean()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.15


@pytest.mark.parametrize("name", TINY)
def test_level_label_and_every_pixel_matter_and_samples_do_not_mix(name: str) -> None:
    network = Network(name, 1, 8, 10)
    model = stirred(network).eval()
    x, level, labels = given(network)
    with torch.no_grad():
        plain = model(x, level, labels)
        assert not torch.allclose(plain, model(x, level + 0.5, labels), atol=1e-3)
        assert not torch.allclose(plain, model(x, level, labels.roll(1, 0)), atol=1e-3)
        torch.testing.assert_close(model(x[2:], level[2:], labels[2:]), plain[2:], rtol=1e-4, atol=1e-5)
        corner = x.clone()
        corner[:, :, 0, 0] += 1
        changed = (model(corner, level, labels) - plain).abs().amax(dim=(0, 1))
    assert bool((changed > 0).all()), "each place sees the whole image"


@pytest.mark.parametrize("name", TINY)
def test_a_row_of_zeros_is_no_label(name: str) -> None:
    """The same whatever the labels' weights are: the unconditional model is the network without them."""
    network = Network(name, 1, 8, 10)
    model = stirred(network).eval()
    x, level, labels = given(network)
    with torch.no_grad():
        empty, labelled = model(x, level, torch.zeros_like(labels)), model(x, level, labels)
        model.map_label.weight.normal_(generator=torch.Generator().manual_seed(5))
        assert torch.equal(model(x, level, torch.zeros_like(labels)), empty)
        assert not torch.allclose(model(x, level, labels), labelled, atol=1e-3)


def test_a_label_is_scaled_by_the_root_of_their_number() -> None:
    """EDM: one-hot rows times sqrt(classes) have unit mean square, as the sinusoids beside them nearly do."""
    network = Network("unet_tiny", 1, 8, 16)
    model = diffusion.build(network, 0)
    labels = torch.eye(16)
    with torch.no_grad():
        model.map_label.weight.copy_(torch.ones_like(model.map_label.weight))
        inner = unet_parts.sinusoids(torch.zeros(16), model.width) + 4.0
        due = nn.functional.silu(model.map1(nn.functional.silu(model.map0(inner))))
        torch.testing.assert_close(model.condition(torch.zeros(16), labels), due)


@pytest.mark.parametrize("name", TINY)
def test_weights_follow_from_seed_and_tensor_alone(name: str) -> None:
    torch.manual_seed(1)
    first = diffusion.build(Network(name, 1, 8, 10), 5).state_dict()
    torch.manual_seed(2)
    again = diffusion.build(Network(name, 1, 8, 10, dropout=0.1), 5).state_dict()
    other = diffusion.build(Network(name, 1, 8, 10), 6).state_dict()
    more = diffusion.build(Network(name, 1, 8, 20), 5).state_dict()
    assert first.keys() == again.keys()
    assert all(torch.equal(first[key], again[key]) for key in first)
    drawn = [key for key, tensor in first.items() if tensor.dim() > 1 and tensor.any()]
    assert len(drawn) > 10
    assert not any(torch.equal(first[key], other[key]) for key in drawn)
    assert [key for key in first if first[key].shape != more[key].shape] == ["map_label.weight"]
    assert all(torch.equal(first[key], more[key]) for key in drawn if key != "map_label.weight")


def test_initial_weights_are_as_wide_as_edms() -> None:
    """Glorot's uniform bound sqrt(6 / (fan in + fan out)); 1e-5 of it where a branch ends, sqrt(0.2) in attention."""
    model = diffusion.build(diffusion.network("unet_small", (3, 32, 32), 10, 0.0), 0)
    tensors = dict(model.named_parameters())
    bounds = {"down.0.conv0": 1.0, "down.0.conv1": 1e-5, "last": 1e-5}
    for key, gain in bounds.items():
        weight = tensors[f"{key}.weight"]
        fans = (weight.shape[0] + weight.shape[1]) * 9
        assert weight.abs().max().item() == pytest.approx(gain * (6 / fans) ** 0.5, rel=0.02)
    attention = next(part for part in model.modules() if isinstance(part, unet_parts.Attention))
    width = attention.proj.in_channels
    assert attention.qkv.weight.abs().max().item() == pytest.approx((0.2 * 6 / (4 * width)) ** 0.5, rel=0.02)
    assert attention.proj.weight.abs().max().item() == pytest.approx(1e-5 * (6 / (2 * width)) ** 0.5, rel=0.02)
    assert not any(p.any() for key, p in tensors.items() if key.endswith("bias"))
    assert all(bool((p == 1).all()) for key, p in tensors.items() if p.dim() == 1 and key.endswith("weight"))


def test_building_and_counting_leave_the_random_state() -> None:
    before = torch.get_rng_state()
    for name in TINY:
        diffusion.build(Network(name, 1, 8, 10), 5)
        diffusion.count_parameters(Network(name, 1, 8, 10))
        diffusion.flops_a_sample(Network(name, 1, 8, 10))
    assert torch.equal(before, torch.get_rng_state())


def test_attention_is_softmax_by_hand() -> None:
    torch.manual_seed(0)
    layer = unet_parts.Attention(8)
    maps = torch.randn(2, 8, 3, 3)
    with torch.no_grad():
        queries, keys, values = layer.qkv(layer.norm(maps)).flatten(2).chunk(3, dim=1)
        weights = (queries.transpose(1, 2) @ keys / 8**0.5).softmax(dim=2)
        mixed = (values @ weights.transpose(1, 2)).view_as(maps)
        torch.testing.assert_close(layer(maps), (layer.proj(mixed) + maps) * 0.5**0.5)


@pytest.mark.parametrize("resample", [None, unet_parts.halve, unet_parts.double])
def test_a_block_by_hand(resample: unet_parts.Resample | None) -> None:
    torch.manual_seed(0)
    layer = unet_parts.Block(8, 12, 6, p=0.0, resample=resample)
    maps, condition = torch.randn(2, 8, 4, 4), torch.randn(2, 6)
    moved = resample or nn.Identity()
    with torch.no_grad():
        inner = layer.conv0(moved(nn.functional.silu(layer.norm0(maps)))) + layer.affine(condition).view(2, 12, 1, 1)
        due = layer.conv1(nn.functional.silu(layer.norm1(inner))) + layer.skip(moved(maps))
        torch.testing.assert_close(layer(maps, condition), due / 2**0.5)


def test_a_transformer_knows_where_a_patch_is() -> None:
    """Without positions, an image that is moved by a patch would give the same image, moved."""
    network = Network("dit_tiny", 1, 8, 10)
    model = stirred(network)
    x, level, labels = given(network)
    assert len({tuple(place.tolist()) for place in model.positions}) == 16
    with torch.no_grad():
        plain, moved = model(x, level, labels), model(x.roll(2, 3), level, labels).roll(-2, 3)
        assert not torch.allclose(plain, moved, atol=1e-3)
        model.positions.zero_()
        plain, moved = model(x, level, labels), model(x.roll(2, 3), level, labels).roll(-2, 3)
        torch.testing.assert_close(plain, moved, rtol=1e-4, atol=1e-4)


def test_resampling_by_hand_and_levels_at_their_frequencies() -> None:
    maps = torch.arange(4.0).view(1, 1, 2, 2)
    assert unet_parts.halve(maps).item() == 1.5
    assert unet_parts.double(maps)[0, 0].tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]
    level = torch.tensor([0.7])
    found = unet_parts.sinusoids(level, 6)[0]
    angles = 0.7 * torch.tensor([1.0, 1e-2, 1e-4])
    torch.testing.assert_close(found, torch.cat([angles.sin(), angles.cos()]))


def test_a_transformer_puts_its_patches_back_where_they_were() -> None:
    network = Network("dit_tiny", 2, 6, 3)
    model = diffusion.build(network, 0)
    x, level, labels = given(network, 2)
    with torch.no_grad():  # the width is 64, so a patch of 2 x 2 x 2 pixels can pass the network unchanged
        model.first.weight.copy_(torch.eye(64, 8).view(64, 2, 2, 2))
        model.last.weight.copy_(torch.eye(8, 64))
        model.positions.zero_()
        states = nn.functional.layer_norm(model.first(x).flatten(2).transpose(1, 2), (64,), eps=1e-6)
        due = nn.functional.pixel_shuffle(states[:, :, :8].transpose(1, 2).reshape(2, 8, 3, 3), 2)
        torch.testing.assert_close(model(x, level, labels), due)


def test_operations_by_hand() -> None:
    """A transformer of width 64 and 3 blocks on 16 patches of 4 pixels, in multiply-adds x 2 x 3 passes."""
    width, patches = 64, 16
    condition = 256 * width + width**2 + 10 * width + 3 * 6 * width**2 + 2 * width**2
    block = patches * 12 * width**2 + 2 * patches**2 * width
    ends = 2 * patches * 4 * width
    assert diffusion.flops_a_sample(Network("dit_tiny", 1, 8, 10)) == 6 * (condition + 3 * block + ends)
    paper = diffusion.flops_a_sample(diffusion.network("ddpmpp", (3, 32, 32), 10, 0.13))
    assert paper == pytest.approx(3 * 7.8e9, rel=0.01)


def test_dropout_needs_the_place_in_the_stream_and_follows_it() -> None:
    network = Network("unet_tiny", 1, 8, 10, dropout=0.3)
    model = stirred(network)
    x, level, labels = given(network, 16)
    with pytest.raises(RuntimeError, match="needs to know which samples of the stream"):
        model(x, level, labels)
    with torch.no_grad():
        with keyed(model, 0, 8, 16):
            whole = model(x, level, labels)
        with keyed(model, 0, 8, 8):
            first = model(x[:8], level[:8], labels[:8])
        torch.testing.assert_close(whole[:8], first, rtol=1e-4, atol=1e-5)
        assert not torch.allclose(model.eval()(x, level, labels), whole, atol=1e-3)


def test_images_that_do_not_fit_are_refused() -> None:
    with pytest.raises(SpecError, match=r"unknown model 'unet_tin'.*did you mean 'unet_tiny'"):
        diffusion.network("unet_tin", (1, 8, 8), 10, 0.0)
    with pytest.raises(SpecError, match=r"square images.*\(1, 8, 9\)"):
        diffusion.check("unet_tiny", (1, 8, 9))
    with pytest.raises(SpecError, match=r"square images.*\(64,\)"):
        diffusion.check("unet_tiny", (64,))
    with pytest.raises(SpecError, match=r"multiple of 4 and at least 8; these are 30x30.*fit: .*dit_tiny"):
        diffusion.check("ddpmpp", (3, 30, 30))
    with pytest.raises(SpecError, match=r"these are 7x7\. Models that fit: none"):
        diffusion.check("dit_tiny", (1, 7, 7))
    diffusion.check("unet_small", (1, 28, 28))  # 28, 14, 7


def test_a_plan_does_not_load_torch() -> None:
    code = (
        "import sys; from trainers.models import diffusion; diffusion.network('ddpmpp', (3, 32, 32), 10, 0.1);"
        "print(sorted({'torch', 'torchvision', 'ray'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", TINY)
def test_a_gpu_finds_what_a_cpu_finds(name: str) -> None:
    network = Network(name, 1, 8, 10)
    model = stirred(network).eval()
    with torch.no_grad():
        due = model(*given(network))
        found = model.cuda()(*(tensor.cuda() for tensor in given(network)))
    torch.testing.assert_close(found.cpu(), due, rtol=1e-2, atol=1e-2)
