// SPDX-License-Identifier: Apache-2.0
// Journals with damaged bytes, and journals whose frames are whole but hold damaged events: one error, or a
// run that agrees with itself.
#include "core/base/crc32c.h"
#include "core/record/journal.h"

#include "tests/fuzz/damage.h"
#include "tests/unit/record/temporary_folder.h"

using namespace rankscope;
using namespace rankscope::record;
using namespace rankscope::test;

namespace
{

std::vector<protocol::JournalEvent> events()
{
    std::vector<protocol::JournalEvent> list;
    const auto add = [&]() -> protocol::JournalEvent& {
        list.emplace_back().set_time_us(1'700'000'000'000'000 + static_cast<std::int64_t>(list.size()));
        return list.back();
    };
    auto& run = *add().mutable_run();
    run.set_job_json("{\"name\": \"sample\"}");
    run.set_device("cpu");
    run.set_trainable_parameters(921600);
    run.add_tasks("arithmetic");
    run.add_tasks("logic");
    run.add_data()->set_path("arithmetic/train.jsonl");
    add().mutable_state()->set_state("running");
    for (std::uint32_t id = 1; id <= 2; ++id) {
        auto& measure = *add().mutable_measure_defined();
        measure.set_id(id);
        measure.set_name(id == 1 ? "train/loss" : "rank/entropy");
        measure.set_title("A title");
        for (std::uint32_t axis = 1; axis < 2 * id - 1; ++axis) {
            auto& made = *measure.add_axes();
            made.set_name("layer");
            for (const char* label : {"0", "1", "2"})
                made.add_labels(label);
        }
    }
    for (int step = 1; step <= 4; ++step) {
        for (std::uint32_t id = 1; id <= 2; ++id) {
            auto& values = *add().mutable_measure_values();
            values.set_id(id);
            values.set_step(10 * step);
            for (int i = 0; i < (id == 1 ? 1 : 9); ++i)
                values.add_values(static_cast<float>(i) / 3);
        }
        auto& progress = *add().mutable_progress();
        progress.set_phase("training");
        progress.set_done(step);
    }
    add().mutable_checkpoint()->set_step(40);
    add().mutable_rewound()->set_step(20);
    add().mutable_notice()->set_text("resumed");
    return list;
}

/// Bytes in a frame with right checksums, as the format in journal.h has it.
std::string framed(const std::string& bytes)
{
    const auto number = [](auto value) {
        return std::string(reinterpret_cast<const char*>(&value), sizeof value);
    };
    const std::string length = number(static_cast<std::uint64_t>(bytes.size()));
    return length + number(base::maskedCrc32c(length)) + bytes + number(base::maskedCrc32c(bytes));
}

void tryRun(const Result<RunRecord>& run)
{
    if (!run)
        return expectSentence(run.error());
    for (const auto& [name, measure] : run->measures()) {
        EXPECT_EQ(name, measure.info().name);
        EXPECT_TRUE(std::ranges::is_sorted(measure.steps()));
        for (std::size_t row = 0; row < measure.steps().size(); ++row)
            EXPECT_EQ(measure.row(row).size(), measure.info().size());
        EXPECT_EQ(measure.latestAt(run->lastStep()).values.size(), measure.info().size());
    }
}

class DamagedJournals : public testing::Test
{
protected:
    void tryBytes(const std::string& bytes)
    {
        put(m_path, bytes);
        tryRun(loadJournal(m_path));
    }

    const ModestMemory m_modest;
    TemporaryFolder m_folder;
    const std::filesystem::path m_path = m_folder / "journal.rec";
};

TEST_F(DamagedJournals, Bytes)
{
    std::string bytes;
    for (const auto& event : events()) {
        EXPECT_EQ(frameEvent(event), framed(event.SerializeAsString()));
        bytes += frameEvent(event);
    }
    put(m_path, bytes);
    const auto whole = loadJournal(m_path);
    ASSERT_TRUE(whole) << whole.error().message;
    ASSERT_EQ(whole->measures().size(), 2U);
    const auto attempt = [this](const std::string& damaged) { tryBytes(damaged); };
    truncate(bytes, 1, attempt);
    damage(bytes, bytes.size(), 10000, attempt);
}

TEST_F(DamagedJournals, EventsInWholeFrames)
{
    const auto list = events();
    for (std::size_t damaged = 0; damaged < list.size(); ++damaged) {
        std::string before;
        std::string after;
        for (std::size_t i = 0; i < list.size(); ++i) {
            if (i != damaged)
                (i < damaged ? before : after) += frameEvent(list[i]);
        }
        const auto attempt = [&](const std::string& event) { tryBytes(before + framed(event) + after); };
        const std::string event = list[damaged].SerializeAsString();
        truncate(event, 1, attempt);
        damage(event, event.size(), 400, attempt);
    }
}

/// Whatever a writer agrees to continue can be read afterwards.
TEST_F(DamagedJournals, ContinuedByAWriter)
{
    std::string bytes;
    for (const auto& event : events())
        bytes += frameEvent(event);
    const auto attempt = [&](const std::string& damaged) {
        put(m_path, damaged);
        {
            auto writer = JournalWriter::open(m_path);
            if (!writer)
                return expectSentence(writer.error());
            protocol::JournalEvent event;
            event.mutable_state()->set_state("resumed");
            ASSERT_TRUE(writer->append(event));
        }
        const auto run = loadJournal(m_path);
        ASSERT_TRUE(run) << run.error().message;
        EXPECT_EQ(run->state(), "resumed");
    };
    truncate(bytes, 3, attempt);
    damage(bytes, bytes.size(), 2000, attempt);
}

TEST_F(DamagedJournals, ZerosAndOtherFiles)
{
    tryBytes("");
    tryBytes(std::string(3'000'000, '\0'));
    tryBytes(frameEvent(events().front()) + std::string(3'000'000, '\0'));
    tryBytes(std::string(3'000'000, 'x'));
    tryBytes(contentOf("README.md"));
    // A length that is checked, and nothing behind it.
    tryBytes(framed(std::string(1000, 'x')).substr(0, 12));
    tryRun(loadJournal(m_folder.path()));
}

} // namespace
