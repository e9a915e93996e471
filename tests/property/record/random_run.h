// SPDX-License-Identifier: Apache-2.0
// Random journals that a well-behaved writer could have written.
#pragma once

#include "core/record/journal.h"

#include <limits>
#include <rapidcheck.h>

namespace rankscope::record::test
{

inline rc::Gen<std::string> text()
{
    return rc::gen::container<std::string>(rc::gen::inRange<char>(32, 127));
}

inline rc::Gen<float> anyFloat()
{
    return rc::gen::oneOf(rc::gen::arbitrary<float>(),
                          rc::gen::element(std::numeric_limits<float>::quiet_NaN(),
                                           std::numeric_limits<float>::infinity(), -0.0F,
                                           std::numeric_limits<float>::denorm_min()));
}

inline protocol::JournalEvent randomDefinition(std::uint32_t id)
{
    protocol::JournalEvent event;
    auto& measure = *event.mutable_measure_defined();
    measure.set_id(id);
    measure.set_name("group" + std::to_string(id % 2) + "/measure" + std::to_string(id));
    measure.set_title(*text());
    measure.set_unit(*text());
    measure.set_definition(*text());
    const int axes = *rc::gen::inRange(0, 4);
    for (int i = 0; i < axes; ++i) {
        auto& axis = *measure.add_axes();
        axis.set_name(*rc::gen::element(std::string("layer"), std::string("module"), std::string("step"),
                                        std::string("values"), std::string(), std::string("a/b"),
                                        std::string("..")));
        axis.set_unit(*text());
        const int labels = *rc::gen::inRange(0, 5);
        for (int label = 0; label < labels; ++label)
            axis.add_labels(*text());
    }
    return event;
}

inline protocol::JournalEvent randomHistory()
{
    protocol::JournalEvent event;
    switch (*rc::gen::inRange(0, 5)) {
    case 0:
        event.mutable_state()->set_state(*text());
        event.mutable_state()->set_reason(*text());
        break;
    case 1:
        event.mutable_checkpoint()->set_step(*rc::gen::inRange<std::int64_t>(0, 1000));
        event.mutable_checkpoint()->set_path(*text());
        break;
    case 2:
        event.mutable_notice()->set_severity("warning");
        event.mutable_notice()->set_text(*text());
        break;
    case 3:
        event.mutable_progress()->set_phase(*text());
        event.mutable_progress()->set_done(*rc::gen::arbitrary<std::int64_t>());
        event.mutable_progress()->set_remaining_seconds(*rc::gen::arbitrary<double>());
        break;
    default: {
        auto& run = *event.mutable_run();
        run.set_job_json(*text());
        run.set_device(*text());
        run.set_base_parameters(*rc::gen::arbitrary<std::int64_t>());
        for (int i = *rc::gen::inRange(0, 3); i > 0; --i)
            run.add_tasks(*text());
        for (int i = *rc::gen::inRange(0, 3); i > 0; --i) {
            auto& file = *run.add_data();
            file.set_path(*text());
            file.set_rows(*rc::gen::arbitrary<std::int64_t>());
            file.set_task(*text());
        }
    }
    }
    return event;
}

/// Definitions first, then values at steps that do not go back, mixed with everything else.
inline std::vector<protocol::JournalEvent> randomEvents()
{
    std::vector<protocol::JournalEvent> events;
    const auto measures = *rc::gen::inRange<std::uint32_t>(0, 4);
    std::vector<std::size_t> sizes;
    for (std::uint32_t id = 0; id < measures; ++id) {
        events.push_back(randomDefinition(id));
        std::size_t size = 1;
        for (const auto& axis : events.back().measure_defined().axes())
            size *= static_cast<std::size_t>(axis.labels_size());
        sizes.push_back(size);
    }
    std::int64_t step = *rc::gen::inRange<std::int64_t>(0, 3);
    for (int count = *rc::gen::inRange(0, 20); count > 0; --count) {
        if (measures > 0 && *rc::gen::inRange(0, 3) > 0) {
            protocol::JournalEvent event;
            auto& values = *event.mutable_measure_values();
            values.set_id(*rc::gen::inRange<std::uint32_t>(0, measures));
            values.set_step(step);
            for (std::size_t i = 0; i < sizes[values.id()]; ++i)
                values.add_values(*anyFloat());
            events.push_back(std::move(event));
        } else {
            events.push_back(randomHistory());
        }
        step += *rc::gen::inRange<std::int64_t>(0, 3);
    }
    for (auto& event : events)
        event.set_time_us(*rc::gen::inRange<std::int64_t>(1, 1'000'000'000));
    return events;
}

} // namespace rankscope::record::test
