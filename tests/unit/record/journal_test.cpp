// SPDX-License-Identifier: Apache-2.0
#include "core/record/journal.h"

#include "core/base/crc32c.h"
#include "core/base/files.h"
#include "tests/unit/record/temporary_folder.h"

#include <csignal>
#include <fstream>
#include <gtest/gtest.h>
#include <sys/resource.h>

namespace rankscope::record
{
namespace
{

using protocol::JournalEvent;

JournalEvent notice(const std::string& text)
{
    JournalEvent event;
    event.set_time_us(1);
    event.mutable_notice()->set_severity("info");
    event.mutable_notice()->set_text(text);
    return event;
}

JournalEvent defined(std::uint32_t id, const std::string& name, std::vector<std::size_t> sizes = {})
{
    JournalEvent event;
    event.set_time_us(1);
    event.mutable_measure_defined()->set_id(id);
    event.mutable_measure_defined()->set_name(name);
    for (const std::size_t size : sizes) {
        auto* axis = event.mutable_measure_defined()->add_axes();
        axis->set_name("layer");
        for (std::size_t i = 0; i < size; ++i)
            axis->add_labels();
    }
    return event;
}

JournalEvent values(std::uint32_t id, std::int64_t step, const std::vector<float>& numbers)
{
    JournalEvent event;
    event.set_time_us(1);
    event.mutable_measure_values()->set_id(id);
    event.mutable_measure_values()->set_step(step);
    for (const float number : numbers)
        event.mutable_measure_values()->add_values(number);
    return event;
}

void append(const std::filesystem::path& path, const std::string& bytes)
{
    std::ofstream(path, std::ios::binary | std::ios::app) << bytes;
}

class Journal : public testing::Test
{
protected:
    std::filesystem::path path() const { return m_folder / "journal.rec"; }
    test::TemporaryFolder m_folder;
};

TEST_F(Journal, IsReadBackAndContinued)
{
    {
        auto writer = JournalWriter::open(path());
        ASSERT_TRUE(writer) << writer.error().message;
        ASSERT_TRUE(writer->append(defined(3, "train/loss")));
        ASSERT_TRUE(writer->append(values(3, 1, {2.5F})));
        ASSERT_TRUE(writer->sync());
    }
    {
        auto writer = JournalWriter::open(path());
        ASSERT_TRUE(writer) << writer.error().message;
        EXPECT_EQ(writer->position(), static_cast<std::int64_t>(std::filesystem::file_size(path())));
        ASSERT_TRUE(writer->append(values(3, 2, {1.5F})));
    }
    const auto run = loadJournal(path());
    ASSERT_TRUE(run) << run.error().message;
    EXPECT_EQ(run->measure("train/loss")->series(0), (std::vector<float>{2.5F, 1.5F}));
}

TEST_F(Journal, GivesEventsATime)
{
    auto writer = JournalWriter::open(path());
    ASSERT_TRUE(writer);
    JournalEvent event;
    event.mutable_state()->set_state("running");
    ASSERT_TRUE(writer->append(event));
    EXPECT_GT(loadJournal(path())->states.front().timeUs, 1'600'000'000'000'000);
}

TEST_F(Journal, HasOneWriter)
{
    const auto writer = JournalWriter::open(path());
    ASSERT_TRUE(writer);
    const auto second = JournalWriter::open(path());
    ASSERT_FALSE(second);
    EXPECT_NE(second.error().message.find("another process is writing"), std::string::npos);
}

TEST_F(Journal, CutsATornTailWhenContinued)
{
    const std::string whole = frameEvent(notice("one"));
    const std::string torn = frameEvent(notice("two")).substr(0, 20);
    for (const std::string& tail : {torn, std::string(100, '\0'), std::string("\x05")}) {
        std::filesystem::remove(path());
        append(path(), whole + tail);
        ASSERT_TRUE(loadJournal(path()));
        auto writer = JournalWriter::open(path());
        ASSERT_TRUE(writer) << writer.error().message;
        EXPECT_EQ(writer->position(), static_cast<std::int64_t>(whole.size()));
        ASSERT_TRUE(writer->append(notice("three")));
        const auto run = loadJournal(path());
        ASSERT_TRUE(run);
        ASSERT_EQ(run->notices.size(), 2u);
        EXPECT_EQ(run->notices[1].text, "three");
    }
}

TEST_F(Journal, RefusesToContinueADamagedOne)
{
    std::string bytes = frameEvent(notice("one"));
    const std::size_t damagedAt = bytes.size();
    bytes += frameEvent(notice("two"));
    bytes[damagedAt + 14] ^= 1;
    append(path(), bytes + frameEvent(notice("three")));
    const auto writer = JournalWriter::open(path());
    ASSERT_FALSE(writer);
    EXPECT_NE(writer.error().message.find("damaged at byte " + std::to_string(damagedAt)), std::string::npos);
    const auto run = loadJournal(path());
    ASSERT_FALSE(run);
    EXPECT_NE(run.error().message.find("damaged at byte " + std::to_string(damagedAt)), std::string::npos);
}

TEST_F(Journal, FullDiskLeavesWholeEvents)
{
    auto writer = JournalWriter::open(path());
    ASSERT_TRUE(writer);
    ASSERT_TRUE(writer->append(notice("fits")));
    // A limit on the size of files stands in for a full disk: the write stops in the middle of the frame.
    std::signal(SIGXFSZ, SIG_IGN);
    rlimit old{};
    ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
    rlimit tight = old;
    tight.rlim_cur = static_cast<rlim_t>(writer->position()) + 10;
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &tight), 0);
    const auto status = writer->append(notice("does not fit"));
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old), 0);
    ASSERT_FALSE(status);
    EXPECT_NE(status.error().message.find("cannot write the journal"), std::string::npos);
    EXPECT_EQ(std::filesystem::file_size(path()), static_cast<std::uintmax_t>(writer->position()));
    ASSERT_TRUE(writer->append(notice("fits again")));
    EXPECT_EQ(loadJournal(path())->notices.size(), 2u);
}

TEST_F(Journal, IsFollowedInWholeFrames)
{
    JournalFollower follower(path());
    EXPECT_EQ(*follower.next(), "");
    const std::string one = frameEvent(notice("one"));
    const std::string two = frameEvent(notice(std::string(5000, 'x')));
    append(path(), one + two.substr(0, 30));
    EXPECT_EQ(*follower.next(), one);
    EXPECT_EQ(*follower.next(), "");
    append(path(), two.substr(30));
    EXPECT_EQ(*follower.next(100), two); // longer than the limit, and whole all the same
    JournalFollower later(path(), static_cast<std::int64_t>(one.size()));
    EXPECT_EQ(*later.next(), two);
    JournalFollower wrong(path(), 1'000'000);
    EXPECT_FALSE(wrong.next());
}

TEST_F(Journal, RefusesAnEventThatIsTooLarge)
{
    std::string frame;
    const std::uint64_t huge = std::uint64_t{1} << 60;
    frame.assign(reinterpret_cast<const char*>(&huge), sizeof huge);
    const std::uint32_t checksum = base::maskedCrc32c(frame);
    frame.append(reinterpret_cast<const char*>(&checksum), sizeof checksum);
    JournalReader reader;
    const auto events = reader.feed(frame);
    ASSERT_FALSE(events);
    EXPECT_NE(events.error().message.find("at most"), std::string::npos) << events.error().message;
    auto writer = JournalWriter::open(path());
    ASSERT_TRUE(writer);
    EXPECT_FALSE(writer->append(notice(std::string(maxEventBytes, 'x'))));
    EXPECT_EQ(writer->position(), 0);
}

TEST(ApplyEvent, RefusesWhatContradicts)
{
    const auto errorOf = [](RunRecord& run, const JournalEvent& event) {
        const auto status = applyEvent(run, event);
        return status ? std::string("accepted") : status.error().message;
    };
    RunRecord run;
    EXPECT_NE(errorOf(run, values(1, 1, {1})).find("did not announce"), std::string::npos);
    ASSERT_TRUE(applyEvent(run, defined(1, "rank/entropy", {2, 3})));
    EXPECT_NE(errorOf(run, values(1, 1, {1})).find("its axes ask for 6"), std::string::npos);
    ASSERT_TRUE(applyEvent(run, values(1, 5, {1, 2, 3, 4, 5, 6})));
    EXPECT_NE(errorOf(run, values(1, 4, {1, 2, 3, 4, 5, 6})).find("goes back to step 4"), std::string::npos);
    for (const char* name : {"", "loss", "/x", "a/", "a/b/c", "../x", "a/..", "a b/c"})
        EXPECT_NE(errorOf(run, defined(2, name)).find("is not the name of a measure"), std::string::npos)
            << name;
    EXPECT_NE(errorOf(run, defined(2, "a/b", std::vector<std::size_t>(20, 1))).find("20 axes"),
              std::string::npos);
    EXPECT_NE(errorOf(run, defined(2, "a/b", {5000, 5000})).find("values at a step"), std::string::npos);
}

TEST(ApplyEvent, RewindsAndRebinds)
{
    RunRecord run;
    ASSERT_TRUE(applyEvent(run, defined(1, "train/loss")));
    for (int step = 1; step <= 4; ++step)
        ASSERT_TRUE(applyEvent(run, values(1, step, {static_cast<float>(step)})));
    JournalEvent rewound;
    rewound.mutable_rewound()->set_step(2);
    ASSERT_TRUE(applyEvent(run, rewound));
    ASSERT_TRUE(applyEvent(run, defined(9, "train/loss")));
    ASSERT_TRUE(applyEvent(run, values(9, 3, {30})));
    EXPECT_EQ(run.measure("train/loss")->series(0), (std::vector<float>{1, 2, 30}));
}

} // namespace
} // namespace rankscope::record
