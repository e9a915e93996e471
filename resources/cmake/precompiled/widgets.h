// SPDX-License-Identifier: Apache-2.0
// What nearly every file of the window and its views reads, compiled once. Files still include what they use.
#pragma once

#include <QtCore/QtCore>
#include <QtWidgets/QtWidgets>
#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>
