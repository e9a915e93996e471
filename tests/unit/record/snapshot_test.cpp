// SPDX-License-Identifier: Apache-2.0
// Snapshots made by somebody else: each lie in the file is one clear error.
#include "core/record/snapshot.h"

#include "core/base/files.h"
#include "tests/unit/record/temporary_folder.h"

#include <array>
#include <gtest/gtest.h>
#include <hdf5.h>
#include <sys/stat.h>

namespace rankscope::record
{
namespace
{

RunRecord sample()
{
    RunRecord run;
    run.description.jobJson = "{}";
    Measure& rank =
        run.define({"rank/entropy", "Rank", "", "", {{"layer", "", {"0", "1"}}, {"layer", "", {"0"}}}});
    for (int step = 0; step < 3; ++step)
        EXPECT_TRUE(rank.append(step, std::array{1.0F, 2.0F}));
    run.define({"train/empty", "", "", "", {}});
    run.define({"train/no_labels", "", "", "", {{"expert", "", {}}}});
    return run;
}

class Snapshot : public testing::Test
{
protected:
    void SetUp() override { ASSERT_TRUE(writeSnapshot(sample(), path())); }
    std::filesystem::path path() const { return m_folder / "run.h5"; }

    /// Changes the file with plain HDF5, then says how reading it fails.
    template <typename Change>
    std::string errorAfter(Change change)
    {
        const hid_t file = H5Fopen(path().c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
        change(file);
        H5Fclose(file);
        const auto run = readSnapshot(path());
        return run ? std::string("accepted") : run.error().message;
    }
    static void makeDataset(hid_t file, const char* name, std::vector<hsize_t> sizes, hid_t type,
                            hid_t list = H5P_DEFAULT)
    {
        const hid_t space = H5Screate_simple(static_cast<int>(sizes.size()), sizes.data(), nullptr);
        const hid_t dataset = H5Dcreate2(file, name, type, space, H5P_DEFAULT, list, H5P_DEFAULT);
        ASSERT_GE(dataset, 0);
        H5Dclose(dataset);
        H5Sclose(space);
    }

    test::TemporaryFolder m_folder;
};

TEST_F(Snapshot, KeepsEmptyMeasuresAndEqualAxisNames)
{
    const auto run = readSnapshot(path());
    ASSERT_TRUE(run) << run.error().message;
    EXPECT_EQ(run->measures().size(), 3u);
    EXPECT_TRUE(run->measure("train/empty")->empty());
    EXPECT_EQ(run->measure("rank/entropy")->info(), sample().measure("rank/entropy")->info());
}

TEST_F(Snapshot, EqualRunsGiveEqualFiles)
{
    const auto first = *base::readFile(path());
    ASSERT_TRUE(writeSnapshot(sample(), path()));
    EXPECT_EQ(*base::readFile(path()), first);
}

TEST_F(Snapshot, LeavesTheOldFileWhenItCannotBeReplaced)
{
    EXPECT_FALSE(writeSnapshot(sample(), m_folder / "no/such/folder/run.h5"));
    const auto old = *base::readFile(path());
    std::filesystem::create_directories(m_folder / "taken.h5/x");
    EXPECT_FALSE(writeSnapshot(sample(), m_folder / "taken.h5"));
    ASSERT_EQ(::mkfifo((m_folder / "pipe.h5").c_str(), 0600), 0);
    EXPECT_FALSE(checkSnapshotTarget(m_folder / "pipe.h5")) << "a device is not replaced by a file";
    EXPECT_FALSE(writeSnapshot(sample(), m_folder / "pipe.h5"));
    std::filesystem::remove(m_folder / "pipe.h5");
    EXPECT_TRUE(checkSnapshotTarget(path()));
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(m_folder.path()), {}), 2)
        << "a part was left behind";
    EXPECT_EQ(*base::readFile(path()), old);
}

TEST_F(Snapshot, RefusesAnotherFile)
{
    ASSERT_TRUE(base::writeFileAtomically(path(), "not HDF5 at all"));
    EXPECT_FALSE(readSnapshot(path()));
    H5Fclose(H5Fcreate(path().c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT));
    EXPECT_NE(readSnapshot(path()).error().message.find("not a snapshot of a run"), std::string::npos);
    EXPECT_FALSE(readSnapshot(m_folder / "none.h5"));
}

TEST_F(Snapshot, RefusesSizesItDoesNotHold)
{
    EXPECT_NE(errorAfter([](hid_t file) {
                  H5Ldelete(file, "/measures/rank/entropy/values", H5P_DEFAULT);
                  const hid_t list = H5Pcreate(H5P_DATASET_CREATE);
                  const hsize_t chunk[] = {1000};
                  H5Pset_chunk(list, 1, chunk);
                  makeDataset(file, "/measures/rank/entropy/values", {hsize_t{1} << 28}, H5T_NATIVE_FLOAT,
                              list);
              }).find("more values than the file holds"),
              std::string::npos);
}

TEST_F(Snapshot, RefusesMoreThanMemoryShouldHold)
{
    EXPECT_NE(errorAfter([](hid_t file) {
                  H5Ldelete(file, "/measures/rank/entropy/step", H5P_DEFAULT);
                  const hid_t list = H5Pcreate(H5P_DATASET_CREATE);
                  const hsize_t chunk[] = {1000};
                  H5Pset_chunk(list, 1, chunk);
                  makeDataset(file, "/measures/rank/entropy/step", {hsize_t{1} << 60}, H5T_NATIVE_INT64,
                              list);
              }).find("declares more than"),
              std::string::npos);
}

TEST_F(Snapshot, RefusesDataOutsideOfTheFile)
{
    EXPECT_NE(errorAfter([](hid_t file) {
                  H5Ldelete(file, "/measures/rank/entropy/values", H5P_DEFAULT);
                  const hid_t list = H5Pcreate(H5P_DATASET_CREATE);
                  H5Pset_external(list, "/etc/hostname", 0, H5F_UNLIMITED);
                  makeDataset(file, "/measures/rank/entropy/values", {1}, H5T_NATIVE_FLOAT, list);
              }).find("outside of the file"),
              std::string::npos);
    ASSERT_TRUE(writeSnapshot(sample(), path()));
    EXPECT_NE(errorAfter([](hid_t file) {
                  H5Ldelete(file, "/states", H5P_DEFAULT);
                  H5Lcreate_external("/tmp/other.h5", "/states", file, "/states", H5P_DEFAULT, H5P_DEFAULT);
              }).find("link to another place"),
              std::string::npos);
}

TEST_F(Snapshot, RefusesWhatDoesNotFitTogether)
{
    EXPECT_NE(errorAfter([](hid_t file) {
                  H5Ldelete(file, "/measures/rank/entropy/step", H5P_DEFAULT);
                  makeDataset(file, "/measures/rank/entropy/step", {7}, H5T_NATIVE_INT64);
              }).find("one row for each step"),
              std::string::npos);
    ASSERT_TRUE(writeSnapshot(sample(), path()));
    EXPECT_NE(errorAfter([](hid_t file) {
                  H5Ldelete(file, "/states/reason", H5P_DEFAULT);
                  makeDataset(file, "/states/reason", {3}, H5T_NATIVE_FLOAT);
              }).find("does not hold texts"),
              std::string::npos);
    ASSERT_TRUE(writeSnapshot(sample(), path()));
    EXPECT_NE(errorAfter([](hid_t file) {
                  H5Ldelete(file, "/run/tasks", H5P_DEFAULT);
              }).find("/run/tasks is missing"),
              std::string::npos);
    ASSERT_TRUE(writeSnapshot(sample(), path()));
    EXPECT_NE(errorAfter([](hid_t file) {
                  H5Ldelete(file, "/measures/rank/entropy/step", H5P_DEFAULT);
                  makeDataset(file, "/measures/rank/entropy/step", {3}, H5T_NATIVE_INT64); // 0, 0, 0
              }).find("does not grow"),
              std::string::npos);
}

} // namespace
} // namespace rankscope::record
