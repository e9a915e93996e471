// SPDX-License-Identifier: Apache-2.0
// Where one family's tensors make it another.
#include "tests/property/families/unrouted/unrouted.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/full.h>
#include <ATen/ops/matmul.h>
#include <c10/core/GradMode.h>

namespace rankscope::unrouted
{
namespace
{

using base::Json;
using conformance::disturb;

const Json fiveTargets{"q_proj", "k_proj", "v_proj", "up_proj", "down_proj"};

/// LoRA of rank 6 with this scale and drawn tensors.
Subject lora(double scale)
{
    Subject s = subject("lora", {{"rank", 6}, {"alpha", 6 * scale}, {"targets", fiveTargets}});
    disturb(*s.adapter, 300);
    return s;
}

std::vector<checkpoint::LinearShape> adapted(const Subject& s)
{
    std::vector<checkpoint::LinearShape> shapes;
    for (const auto& site : s.adapter->deltaSites())
        shapes.push_back(s.model->linear(site.layer, site.module)->base.shape);
    return shapes;
}

void takePairs(const Subject& to, const Subject& from)
{
    for (const auto& shape : adapted(to)) {
        for (const char* name : {".lora_A.weight", ".lora_B.weight"})
            set(to, shape.path + name, tensor(from, shape.path + name));
    }
}

/// MoG with a group for each layer, every gate hard on its own.
Subject mogOfLayers(const std::string& form, double scale)
{
    return subject("mog", {{"form", form},
                           {"groups", 2},
                           {"rank", 6},
                           {"alpha", scale},
                           {"gateInitScale", 100},
                           {"svd", "exact"}});
}

void giveGroups(const Subject& mog, const Subject& pairs, bool fused)
{
    for (const auto& shape : adapted(mog)) {
        const std::string shared = "shared." + shape.module;
        const at::NoGradGuard guard;
        tensor(mog, shared + ".mog_A.weight")[shape.layer].copy_(
            tensor(pairs, shape.path + ".lora_A.weight"));
        tensor(mog, shared + ".mog_B.weight")[shape.layer].copy_(
            tensor(pairs, shape.path + ".lora_B.weight"));
        if (fused)
            set(mog, shape.path + ".mog_fusion.weight", at::eye(6, at::kDouble));
    }
}

TEST(Relatives, MosLoraWithTheIdentityAsMixerIsLora)
{
    const Subject reference = lora(2);
    const Subject mos = subject("moslora", {{"rank", 6}, {"alpha", 12}});
    takePairs(mos, reference);
    for (const auto& shape : adapted(mos))
        set(mos, shape.path + ".lora_mixer.weight", at::eye(6, at::kDouble));
    agree(mos, reference);
}

TEST(Relatives, DoraWithTheNormAsMagnitudeIsLora)
{
    const Subject reference = lora(2);
    const Subject dora = subject("dora", {{"rank", 6}, {"alpha", 12}});
    takePairs(dora, reference);
    for (const auto& shape : adapted(dora)) {
        const at::Tensor v = dora.model->linear(shape.layer, shape.module)->base.weight +
                             2 * at::matmul(tensor(dora, shape.path + ".lora_B.weight"),
                                            tensor(dora, shape.path + ".lora_A.weight"));
        set(dora, shape.path + ".lora_magnitude_vector", v.norm(2, {1}));
    }
    agree(dora, reference);
}

TEST(Relatives, DoraLooksAgainOnceItsPairHasChanged)
{
    // The norm is kept between passes: a change by an optimizer, by loading or by hand must be seen.
    const Subject dora = subject("dora", {{"rank", 6}});
    const at::NoGradGuard guard;
    (void)dora.run(conformance::someRows());
    disturb(*dora.adapter, 5);
    const Subject fresh = subject("dora", {{"rank", 6}});
    ASSERT_TRUE(fresh.adapter->parameters().load(dora.tensors()));
    agree(dora, fresh, 1e-14);
}

TEST(Relatives, RasaWithoutAPoolIsLora)
{
    const Subject reference = lora(2);
    // D starts at alpha / (2 r).
    const Subject rasa =
        subject("rasa", {{"rank", 6}, {"sharedRank", 0}, {"alpha", 24}, {"targets", fiveTargets}});
    takePairs(rasa, reference);
    agree(rasa, reference);
}

TEST(Relatives, MogWithAGroupForEachLayerIsLora)
{
    const Subject reference = lora(2);
    const Subject mog = mogOfLayers("plain", 2);
    giveGroups(mog, reference, true);
    agree(mog, reference);
}

TEST(Relatives, MogWithAGroupForEachLayerInDorasFormIsDora)
{
    const Subject reference = subject("dora", {{"rank", 6}, {"alpha", 12}});
    disturb(*reference.adapter, 300);
    const Subject mog = mogOfLayers("dora", 2);
    giveGroups(mog, reference, true);
    for (const auto& shape : adapted(mog))
        set(mog, shape.path + ".lora_magnitude_vector",
            tensor(reference, shape.path + ".lora_magnitude_vector"));
    agree(mog, reference);
}

TEST(Relatives, MogWithAGroupForEachLayerInPissasFormIsPissa)
{
    const Subject reference =
        subject("pissa", {{"rank", 6}, {"alpha", 12}, {"svd", "exact"}, {"targets", fiveTargets}});
    disturb(*reference.adapter, 300);
    const Subject mog = mogOfLayers("pissa", 2);
    giveGroups(mog, reference, false);
    agree(mog, reference);
}

TEST(Relatives, MogWithOneGroupIsDenseLoraWithoutActivation)
{
    const Subject dense = subject("denselora", {{"rank", 6}, {"alpha", 12}, {"activation", "none"}});
    disturb(*dense.adapter, 300);
    const Subject mog = subject("mog", {{"groups", 1}, {"rank", 6}, {"alpha", 2}});
    for (const auto& shape : adapted(mog)) {
        const std::string shared = "shared." + shape.module;
        set(mog, shared + ".mog_A.weight", tensor(dense, shared + ".denselora_encoder.weight").unsqueeze(0));
        set(mog, shared + ".mog_B.weight", tensor(dense, shared + ".denselora_decoder.weight").unsqueeze(0));
        // E enters transposed.
        set(mog, shape.path + ".mog_fusion.weight", tensor(dense, shape.path + ".denselora_core.weight").t());
    }
    agree(mog, dense);
}

} // namespace
} // namespace rankscope::unrouted
