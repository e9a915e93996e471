// SPDX-License-Identifier: Apache-2.0
#include "core/record/journal.h"

#include "tests/property/record/random_run.h"

#include <gtest/gtest.h>

namespace rankscope::record
{
namespace
{

using protocol::JournalEvent;

struct Framed {
    std::vector<JournalEvent> events;
    std::string bytes;
    std::vector<std::size_t> ends; ///< of each frame
};

Framed randomJournal()
{
    Framed journal;
    journal.events = test::randomEvents();
    for (const auto& event : journal.events) {
        journal.bytes += frameEvent(event);
        journal.ends.push_back(journal.bytes.size());
    }
    return journal;
}

std::vector<std::string> serialized(const std::vector<JournalEvent>& events)
{
    std::vector<std::string> list;
    for (const auto& event : events)
        list.push_back(event.SerializeAsString());
    return list;
}

TEST(JournalProperty, ComesBackInPiecesOfAnySize)
{
    EXPECT_TRUE(rc::check([] {
        const Framed journal = randomJournal();
        JournalReader reader;
        std::vector<JournalEvent> read;
        for (std::size_t at = 0; at < journal.bytes.size();) {
            const auto count = *rc::gen::inRange<std::size_t>(1, 200);
            const auto events = reader.feed(std::string_view(journal.bytes).substr(at, count));
            RC_ASSERT(events.has_value());
            read.insert(read.end(), events->begin(), events->end());
            at += count;
        }
        RC_ASSERT(serialized(read) == serialized(journal.events));
        RC_ASSERT(reader.position() == static_cast<std::int64_t>(journal.bytes.size()));
        RC_ASSERT(reader.pendingBytes() == 0u);
    }));
}

TEST(JournalProperty, TornAnywhereGivesThePrefix)
{
    EXPECT_TRUE(rc::check([] {
        const Framed journal = randomJournal();
        for (std::size_t cut = 0; cut <= journal.bytes.size(); ++cut) {
            std::size_t whole = 0;
            while (whole < journal.ends.size() && journal.ends[whole] <= cut)
                ++whole;
            const std::size_t end = whole == 0 ? 0 : journal.ends[whole - 1];
            const auto frames = wholeFrames(std::string_view(journal.bytes).substr(0, cut));
            RC_ASSERT(frames.has_value() && *frames == end);
            JournalReader reader;
            const auto events = reader.feed(std::string_view(journal.bytes).substr(0, cut));
            RC_ASSERT(events.has_value() && events->size() == whole);
            RC_ASSERT(reader.pendingBytes() == cut - end);
        }
    }));
}

TEST(JournalProperty, ATailOfZerosIsTornWhereverItBegins)
{
    EXPECT_TRUE(rc::check([] {
        const Framed journal = randomJournal();
        RC_PRE(!journal.bytes.empty());
        // What a power cut leaves where the length was written before the data: zeros up to a page's end.
        const auto cut = *rc::gen::inRange<std::size_t>(0, journal.bytes.size());
        std::size_t whole = 0;
        while (journal.ends[whole] <= cut)
            ++whole;
        const std::size_t frame = journal.ends[whole];
        RC_PRE(journal.bytes.find_first_not_of('\0', cut) < frame); // else nothing is lost
        const std::string bytes = journal.bytes.substr(0, cut) +
                                  std::string(frame - cut + *rc::gen::inRange<std::size_t>(0, 4096), '\0');
        const std::size_t end = whole == 0 ? 0 : journal.ends[whole - 1];
        const auto frames = wholeFrames(bytes);
        RC_ASSERT(frames.has_value() && *frames == end);
        JournalReader reader;
        const auto events = reader.feed(bytes);
        RC_ASSERT(events.has_value() && events->size() == whole);
    }));
}

TEST(JournalProperty, AFlippedBitIsNeverAnEvent)
{
    EXPECT_TRUE(rc::check([] {
        Framed journal = randomJournal();
        RC_PRE(!journal.bytes.empty());
        const auto at = *rc::gen::inRange<std::size_t>(0, journal.bytes.size());
        journal.bytes[at] = static_cast<char>(journal.bytes[at] ^ (1 << *rc::gen::inRange(0, 8)));
        std::size_t before = 0;
        while (journal.ends[before] <= at)
            ++before;
        // Everything before the damage is read; the damaged event is an error, wherever in it the bit is.
        const std::string_view bytes = journal.bytes;
        const std::size_t start = before == 0 ? 0 : journal.ends[before - 1];
        JournalReader reader;
        RC_ASSERT(reader.feed(bytes.substr(0, start))->size() == before);
        const auto rest = reader.feed(bytes.substr(start));
        RC_ASSERT(!rest.has_value());
        RC_ASSERT(rest.error().message.find("damaged at byte " + std::to_string(start)) != std::string::npos);
        RC_ASSERT(!reader.feed("").has_value());
    }));
}

} // namespace
} // namespace rankscope::record
