"""Consistency distillation against answers in closed form, and the teacher's guidance per condition."""

import pytest
import torch

from omnihuman.conditions.inputs import ConditionInputs
from profiles import ProfileError, load_profile
from profiles.schema import GuidanceConfig
from training.distillation.consistency import consistency_loss, consistency_map, time_grid
from training.distillation.guidance import teacher_velocity

MEAN = torch.tensor([1.0, -0.5])
COVARIANCE = torch.tensor([[0.8, 0.5], [0.5, 0.6]])


def gaussian_velocity(x, t):
    r"""$E[\epsilon - x_0 | x_t]$ for x_0 ~ N(m, S): with C = (1-t)^2 S + t^2 I,
    $E[x_0|x_t] = m + (1-t) S C^{-1} (x_t - (1-t) m)$ and $E[\epsilon|x_t] = t C^{-1} (x_t - (1-t) m)$."""
    t = t.view(-1, 1, 1).to(COVARIANCE)
    total = (1 - t) ** 2 * COVARIANCE + t**2 * torch.eye(2)
    centred = torch.linalg.solve(total, (x - (1 - t[:, 0]) * MEAN).unsqueeze(-1))
    return (t * centred - (1 - t) * COVARIANCE @ centred).squeeze(-1) - MEAN


def one_step_map(z):
    r"""The probability-flow map from t = 1: S and I commute, so along each eigenvector of S the ODE keeps quantiles:
    $f(z, 1) = m + S^{1/2} z$."""
    values, vectors = torch.linalg.eigh(COVARIANCE)
    return MEAN + z @ (vectors * values.sqrt()) @ vectors.T


class Student(torch.nn.Module):
    """A velocity that is neither linear in x nor tabulated in t."""

    def __init__(self):
        super().__init__()
        self.net = torch.nn.Sequential(
            torch.nn.Linear(2 + 5, 64),
            torch.nn.SiLU(),
            torch.nn.Linear(64, 64),
            torch.nn.SiLU(),
            torch.nn.Linear(64, 2),
        )

    def forward(self, x, t):
        t = t[:, None]
        return self.net(torch.cat([x, t, t**2, torch.sqrt(t), torch.sin(3 * t), torch.cos(3 * t)], dim=1))


def test_following_the_closed_form_velocity_in_small_steps_is_the_closed_form_map():
    z = torch.randn(64, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x, grid = z, torch.linspace(1, 0, 2001, dtype=torch.float64)
    for t, s in zip(grid[:-1], grid[1:], strict=True):
        x = x + (s - t) * gaussian_velocity(x.float(), t.float().expand(64)).double()
    torch.testing.assert_close(x.float(), one_step_map(z.float()), atol=3e-3, rtol=0)


def test_distilling_a_correlated_gaussian_drives_a_small_network_to_the_known_map():
    torch.manual_seed(0)
    student, grid = Student(), time_grid(32, 1.0)
    optimizer = torch.optim.Adam(student.parameters(), lr=3e-3)
    generator, root = torch.Generator().manual_seed(1), torch.linalg.cholesky(COVARIANCE)
    z = torch.randn(512, 2, generator=torch.Generator().manual_seed(2))

    def error():
        with torch.no_grad():
            made = consistency_map(student, z, torch.ones(512))
        return (made - one_step_map(z)).square().mean().sqrt().item()

    before = error()
    for step in range(2500):
        index = torch.randint(1, 33, (512,), generator=generator)
        x_0 = MEAN + torch.randn(512, 2, generator=generator) @ root.T
        noise = torch.randn(512, 2, generator=generator)
        optimizer.param_groups[0]["lr"] = 3e-3 * (1 - step / 2500)
        optimizer.zero_grad()
        loss = consistency_loss(student, gaussian_velocity, x_0, noise, grid[index], grid[index - 1])
        (loss / grid[index] ** 2).mean().backward()
        optimizer.step()
    assert before > 0.9
    assert error() < 0.1, error()


def test_the_target_has_no_gradient_and_the_teacher_is_asked_at_the_noisier_of_two_neighbours():
    asked, student = {"teacher": [], "student": []}, Student()
    x_0, noise = torch.randn(4, 2), torch.randn(4, 2)

    def remember(who, velocity):
        def call(x, t):
            asked[who].append((t, torch.is_grad_enabled()))
            return velocity(x, t)

        return call

    t, s = torch.full((4,), 0.5), torch.full((4,), 0.4)
    consistency_loss(remember("student", student), remember("teacher", gaussian_velocity), x_0, noise, t, s)
    assert [(time.tolist(), grad) for time, grad in asked["teacher"]] == [([0.5] * 4, False)]
    assert sorted((time[0].item(), grad) for time, grad in asked["student"]) == [
        (pytest.approx(0.4), False),
        (0.5, True),
    ]


def test_the_grid_is_configurable_shifted_towards_noise_and_ends_at_data_and_noise():
    grid = time_grid(8, 24.0)
    assert len(grid) == 9 and grid[0] == 0 and grid[-1] == 1
    assert grid[1].item() == pytest.approx(24 * 0.125 / (1 + 23 * 0.125))
    torch.testing.assert_close(time_grid(4, 1.0), torch.tensor([0, 0.25, 0.5, 0.75, 1]))


class Additive(torch.nn.Module):
    """v = text + audio: each branch's share can be read off the result. Counts its evaluations."""

    calls = 0

    def forward(
        self, x, timestep, return_dict, encoder_hidden_states, audio=None, audio_mask=None, pose=None, pose_mask=None
    ):
        self.calls += 1
        heard = 0 if audio is None else (audio * audio_mask.view(-1, 1)).sum(1)
        return (
            (encoder_hidden_states.sum((1, 2)) + heard + (0 if pose is None else pose)).view(-1, 1)
            * torch.ones_like(x),
        )


@pytest.mark.parametrize(
    ("text", "audio", "expected", "evaluations"),
    # null 1, text 10, audio 100, pose 1000, which is in every branch.
    [
        (1, 1, 1110, 1),
        (7.5, 7.5, 1001 + 7.5 * 109, 2),
        (1, 3, 1010 + 3 * 100, 2),
        (3, 1, 1001 + 3 * 9 + 100, 3),
        (2, 5, 1001 + 2 * 9 + 5 * 100, 3),
    ],
)
def test_guidance_scales_each_condition_against_the_branch_without_it(text, audio, expected, evaluations):
    teacher, x = Additive(), torch.zeros(2, 3)
    conditions = ConditionInputs(
        text=torch.full((2, 1, 1), 10.0),
        audio=torch.full((2, 1), 100.0),
        audio_mask=torch.tensor([1.0, 0.0]),
        pose=torch.full((2,), 1000.0),
    )
    null = torch.full((2, 1, 1), 1.0)
    velocity = teacher_velocity(teacher, x, torch.ones(2), conditions, null, GuidanceConfig(text=text, audio=audio))
    # The second sample is silent: nothing of audio's scale may reach it.
    torch.testing.assert_close(velocity[:, 0], torch.tensor([expected, 1001 + text * 9], dtype=torch.float32))
    assert teacher.calls == evaluations


def test_a_sample_whose_text_is_off_is_not_moved_by_texts_scale():
    null = torch.full((1, 1, 1), 1.0)
    velocity = teacher_velocity(
        Additive(),
        torch.zeros(1, 1),
        torch.ones(1),
        ConditionInputs(null),
        null,
        GuidanceConfig(text=7.5, audio=1.0),
    )
    assert velocity.item() == 1.0


def test_guidance_can_leave_samples_alone_that_a_pose_drives():
    conditions = ConditionInputs(
        text=torch.full((2, 1, 1), 10.0),
        audio=torch.full((2, 1), 100.0),
        audio_mask=torch.ones(2),
        pose=torch.full((2,), 1000.0),
        pose_mask=torch.tensor([1.0, 0.0]),
    )
    null, scales = torch.full((2, 1, 1), 1.0), GuidanceConfig(text=3.0, audio=3.0, posed=False)
    velocity = teacher_velocity(Additive(), torch.zeros(2, 3), torch.ones(2), conditions, null, scales)
    torch.testing.assert_close(velocity[:, 0], torch.tensor([1110.0, 1001 + 3 * 109]))


def test_the_papers_guidance_goes_by_name():
    by_name = {
        name: load_profile("laptop", [f"consistency.guidance={name}"]).consistency.guidance for name in ("apt", "apt2")
    }
    assert (by_name["apt"].text, by_name["apt"].audio, by_name["apt2"].text, by_name["apt2"].audio) == (
        7.5,
        7.5,
        1.0,
        1.0,
    )
    with pytest.raises(ProfileError, match="apt or apt2"):
        load_profile("laptop", ["consistency.guidance=apt3"])
