// SPDX-License-Identifier: Apache-2.0
// The smallest plugin: it plans as many parameters as the model has layers.
#include "core/adapter/family.h"

namespace
{

class Smallest : public rankscope::adapter::Family
{
public:
    [[nodiscard]] rankscope::Result<rankscope::adapter::Plan>
    plan(const rankscope::checkpoint::ModelConfig& model, const rankscope::adapter::Settings&) const override
    {
        return rankscope::adapter::Plan{model.layers, 0, 0};
    }
    [[nodiscard]] rankscope::Result<std::unique_ptr<rankscope::adapter::Adapter>>
    attach(rankscope::model::Decoder&, const rankscope::adapter::Settings&,
           const rankscope::adapter::AttachOptions&) const override
    {
        return rankscope::fail("it only plans");
    }
};

} // namespace

RANKSCOPE_FAMILY(Smallest)
